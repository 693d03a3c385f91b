package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// UnmarshalStrict reads one JSON value and nothing after it. A field that is unknown, written in other
// letters, or there twice is refused, and so is what isn't UTF-8, or half of a character in escapes: in a request about money nothing may be read past, or as something else.
func UnmarshalStrict(data []byte, into any) error {
	if !utf8.Valid(data) {
		return errors.New("the JSON isn't UTF-8")
	}
	if half := halfOfACharacter(data); half != "" {
		return fmt.Errorf("%s is half of a character", half)
	}
	if err := checkFields(data); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return fmt.Errorf("%s must be %s, and is a JSON %s", cmp.Or(wrong.Field, "the JSON"), kindOfJSON(wrong), wrong.Value)
	}
	return err
}

// kindOfJSON says what should have stood there, in words of JSON.
func kindOfJSON(wrong *json.UnmarshalTypeError) string {
	switch wrong.Type.Kind() {
	case reflect.String:
		if strings.HasSuffix(wrong.Field, "_minor") {
			return `a string of digits, like "1050"`
		}
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a whole number in its range"
	}
}

// halfOfACharacter finds an escaped UTF-16 surrogate without the other one of its pair. encoding/json would read any of them as the same character.
func halfOfACharacter(data []byte) string {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, is := escaped(data[i:])
		if !is || !utf16.IsSurrogate(first) {
			i++ // what is escaped
			continue
		}
		second, _ := escaped(data[i+escapeBytes:])
		if utf16.DecodeRune(first, second) == utf8.RuneError {
			return string(data[i : i+escapeBytes])
		}
		i += 2*escapeBytes - 1
	}
	return ""
}

const escapeBytes = len(`\u0000`)

// escaped reads the escape of one UTF-16 code unit that text begins with.
func escaped(text []byte) (unit rune, is bool) {
	if len(text) < escapeBytes || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:escapeBytes]), 16, 16)
	return rune(n), err == nil
}

// fieldsOf is an object or an array that is being read.
type fieldsOf struct {
	object bool
	isName bool // the next token of an object is a field's name
	seen   map[string]bool
}

// checkFields reads the whole of data as one JSON value and checks the names of its fields: encoding/json
// would match them in any letters and take the last of two.
func checkFields(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []fieldsOf
	for values := 0; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 && values == 1 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the JSON value ends too early")
		}
		if err != nil {
			return err
		}
		if len(open) == 0 && values == 1 {
			return errors.New("there is more after the JSON value")
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open = append(open, fieldsOf{object: token == json.Delim('{'), isName: true, seen: map[string]bool{}})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if named, err := checkField(open, token); named || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if len(open) == 0 {
			values++
			continue
		}
		open[len(open)-1].isName = true // a value of the innermost object or array is complete
	}
}

// checkField says whether a token names a field, and what is wrong with it.
func checkField(open []fieldsOf, token json.Token) (named bool, err error) {
	if len(open) == 0 {
		return false, nil
	}
	inner := &open[len(open)-1]
	if !inner.object || !inner.isName {
		return false, nil
	}
	name, _ := token.(string)
	if inner.seen[name] {
		return true, fmt.Errorf("field %q is there twice", clip(name))
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && c != '_' {
			return true, fmt.Errorf("unknown field %q", clip(name))
		}
	}
	inner.seen[name] = true
	inner.isName = false
	return true, nil
}
