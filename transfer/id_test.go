package transfer_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/transfer"
)

func TestParseID(t *testing.T) {
	tests := []struct {
		name, text, want string // want "" for refused
	}{
		{"a UUID of version 7", "0192d3a4-5b6c-7def-8123-456789abcdef", "0192d3a4-5b6c-7def-8123-456789abcdef"},
		{"capitals are read, and printed small", "0192D3A4-5B6C-7DEF-8123-456789ABCDEF", "0192d3a4-5b6c-7def-8123-456789abcdef"},
		{"a UUID of no version at all", "ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
		{"the nil UUID", "00000000-0000-0000-0000-000000000000", ""},
		{"nothing", "", ""},
		{"no dashes", "0192d3a45b6c7def8123456789abcdef", ""},
		{"braces", "{0192d3a4-5b6c-7def-8123-456789abcdef}", ""},
		{"a URN", "urn:uuid:0192d3a4-5b6c-7def-8123-456789abcdef", ""},
		{"a dash in the wrong place", "0192d3a45-b6c-7def-8123-456789abcdef", ""},
		{"a dash too many", "0192d3a4-5b6c-7def-8123-456789abcde-", ""},
		{"a digit that is none", "0192d3a4-5b6c-7def-8123-456789abcdeg", ""},
		{"one digit short", "0192d3a4-5b6c-7def-8123-456789abcde", ""},
		{"one digit long", "0192d3a4-5b6c-7def-8123-456789abcdef0", ""},
		{"36 bytes of another script", strings.Repeat("é", 18), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := transfer.ParseID(tt.text)
			if tt.want == "" {
				if !errors.Is(err, transfer.ErrInvalidID) || !id.IsZero() {
					t.Errorf("got %s, %v; want it refused", id, err)
				}
				return
			}
			if err != nil || id.String() != tt.want {
				t.Errorf("got %s, %v", id, err)
			}
		})
	}
}

func TestIDFromBytes(t *testing.T) {
	tests := []struct {
		name  string
		bytes []byte
		ok    bool
	}{
		{"16 bytes are an id", someID[:], true},
		{"16 zeros are a forgotten field", make([]byte, 16), false},
		{"15 bytes are too few", someID[:15], false},
		{"17 bytes are too many", append(someID[:], 1), false},
		{"nothing is no id", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := transfer.IDFromBytes(tt.bytes)
			switch {
			case tt.ok && (err != nil || id != someID):
				t.Errorf("got %s, %v", id, err)
			case !tt.ok && !errors.Is(err, transfer.ErrInvalidID):
				t.Errorf("got %s, %v; want it refused", id, err)
			}
		})
	}
}

// TestEveryIDSurvivesItsPrintedForm, in capitals too.
func TestEveryIDSurvivesItsPrintedForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := transfer.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text := id.String()
		if rapid.Bool().Draw(t, "capitals") {
			text = strings.ToUpper(text)
		}
		got, err := transfer.ParseID(text)
		if id.IsZero() {
			if err == nil {
				t.Fatal("the nil UUID was accepted")
			}
			return
		}
		if err != nil || got != id {
			t.Fatalf("%q is read as %s, %v", text, got, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("0192d3a4-5b6c-7def-8123-456789abcdef")
	f.Add("0192D3A4-5B6C-7DEF-8123-456789ABCDEF")
	f.Add("00000000-0000-0000-0000-000000000000")
	f.Add("0192d3a45b6c7def8123456789abcdef")
	f.Add("")
	f.Add(strings.Repeat("é", 18))
	f.Fuzz(func(t *testing.T, text string) {
		id, err := transfer.ParseID(text)
		if err != nil {
			if !errors.Is(err, transfer.ErrInvalidID) || !id.IsZero() {
				t.Fatalf("%q: got %s, %v", text, id, err)
			}
			return
		}
		if !strings.EqualFold(id.String(), text) {
			t.Fatalf("%q is read as %s", text, id)
		}
	})
}
