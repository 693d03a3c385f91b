package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/node"
)

// loadConfig reads and checks a node's configuration file. Relative names of files and directories count from the file's own
// directory, so that it is the same wherever the server is started.
func loadConfig(path string) (node.Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return node.Config{}, &adviceError{misconfigured(fmt.Errorf("there is no configuration file %s", path)), "quorate config init --dir " + filepath.Dir(path)}
	}
	if err != nil {
		return node.Config{}, misconfigured(fmt.Errorf("can't read the configuration: %w", err))
	}
	config, err := parseConfig(string(text))
	if err != nil {
		return node.Config{}, misconfigured(fmt.Errorf("%s: %w", path, err))
	}
	for _, name := range []*string{&config.DataDir, &config.TLS.CA, &config.TLS.Cert, &config.TLS.Key} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(filepath.Dir(path), *name)
		}
	}
	return config, nil
}

// parseConfig is strict: what it doesn't know it refuses, and nothing is converted to fit.
func parseConfig(text string) (node.Config, error) {
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider([]byte(text)), yaml.Parser()); err != nil {
		return node.Config{}, fmt.Errorf("this is no YAML that can be read. why: %s", yamlComplaint(err))
	}
	s := shapeChecker{text: text}
	if err := s.check("", k.Raw(), reflect.TypeFor[node.Config]()); err != nil {
		return node.Config{}, err
	}
	var config node.Config
	if err := k.Unmarshal("", &config); err != nil {
		return node.Config{}, err
	}
	if err := config.Validate(); err != nil {
		return config, err
	}
	if err := timeoutsOf(config).Validate(); err != nil {
		return config, fmt.Errorf("transfers: %w", err)
	}
	return config, nil
}

// timeoutsOf is how long the faces of a node let a transfer take.
func timeoutsOf(c node.Config) api.Timeouts {
	return api.Timeouts{Default: c.Transfers.TimeoutDefault, Min: c.Transfers.TimeoutMin, Max: c.Transfers.TimeoutMax}
}

// yamlComplaint puts what the YAML library says, sometimes in several lines, into one.
func yamlComplaint(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// shapeChecker compares what the file says with the fields of the configuration. koanf's own decoding would skip unknown
// keys and turn 1.9 into 1.
type shapeChecker struct{ text string }

func (s *shapeChecker) check(at string, value any, want reflect.Type) error {
	if want == reflect.TypeFor[time.Duration]() {
		text, ok := value.(string)
		if d, err := time.ParseDuration(text); !ok || err != nil || d <= 0 {
			return s.mismatch(at, value, "a time above zero, as 500ms, 10s or 1h")
		}
		return nil
	}
	switch want.Kind() {
	case reflect.Pointer:
		return s.check(at, value, want.Elem())
	case reflect.Struct:
		return s.checkKeys(at, value, want)
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return s.mismatch(at, value, "a list")
		}
		for i, item := range list {
			if err := s.check(fmt.Sprintf("%s[%d]", at, i+1), item, want.Elem()); err != nil {
				return err
			}
		}
		return nil
	case reflect.String:
		if _, ok := value.(string); !ok {
			return s.mismatch(at, value, "text, in quotes where it looks like something else")
		}
		return nil
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return s.mismatch(at, value, "true or false")
		}
		return nil
	}
	if n, ok := value.(int); !ok || n < 0 {
		return s.mismatch(at, value, "a whole number, zero or more")
	}
	return nil
}

func (s *shapeChecker) checkKeys(at string, value any, want reflect.Type) error {
	keys, ok := value.(map[string]any)
	if !ok {
		return s.mismatch(at, value, "keys with values")
	}
	known := map[string]reflect.Type{}
	var names []string
	for i := range want.NumField() {
		name := want.Field(i).Tag.Get("koanf")
		known[name] = want.Field(i).Type
		names = append(names, name)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if known[key] == nil {
			return s.unknownKey(at, key, names)
		}
		if err := s.check(join(at, key), keys[key], known[key]); err != nil {
			return err
		}
	}
	return nil
}

func (s *shapeChecker) unknownKey(at, key string, names []string) error {
	text := fmt.Sprintf("%sunknown key %q", s.line(key), join(at, key))
	if near := nearest(key, names); near != "" {
		return fmt.Errorf("%s. try: did you mean %q?", text, near)
	}
	return fmt.Errorf("%s. why: the keys here are %s", text, strings.Join(names, ", "))
}

func (s *shapeChecker) mismatch(at string, value any, want string) error {
	if value == nil {
		return fmt.Errorf("%s: it has no value. why: it must be %s", at, want)
	}
	return fmt.Errorf("%s: %v can't be used. why: it must be %s", at, value, want)
}

// line tells where a key stands, if there is only one of that name.
func (s *shapeChecker) line(key string) string {
	places := regexp.MustCompile(`(?m)(?:^|[\s{,"'-])`+regexp.QuoteMeta(key)+`["']?\s*:`).FindAllStringIndex(s.text, 2)
	if len(places) != 1 {
		return ""
	}
	upToKey := s.text[:places[0][1]]
	return fmt.Sprintf("line %d: ", 1+strings.Count(strings.TrimSuffix(upToKey, ":"), "\n"))
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// nearest is the name that a mistyped one probably stands for; "" if none is near.
func nearest(typed string, names []string) string {
	best, least := "", 1+len(typed)/3
	for _, name := range names {
		if d := distance(strings.ToLower(typed), name); d <= least {
			best, least = name, d-1
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := diagonal
			if a[i-1] != b[j-1] {
				replaced++
			}
			diagonal = row[j]
			row[j] = min(replaced, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
