package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/transfer"
)

func TestParseLeg(t *testing.T) {
	tests := []struct {
		name, text string
		want       transfer.Leg // zero: refused
	}{
		{"a debit", "debit:north/alice:10.50:EUR", transfer.Leg{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "EUR"}},
		{"names with colons", "credit:n:1/a:b:c:7:JPY", transfer.Leg{Bank: "n:1", Account: "a:b:c", Direction: transfer.Credit, AmountMinor: 7, Currency: "JPY"}},
		{"no amount", "debit:north/alice:EUR", transfer.Leg{}},
		{"no account", "debit:north:10.50:EUR", transfer.Leg{}},
		{"another direction", "Debit:north/alice:10.50:EUR", transfer.Leg{}},
		{"nothing", "", transfer.Leg{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseLeg(tt.text)
			if refused := tt.want == (transfer.Leg{}); refused != (err != nil) || (!refused && got != tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestNearestIsWhatWasMeant(t *testing.T) {
	names := []string{"cluster", "node", "data", "nodes", "coordinators", "coordinator_nodes", "banks"}
	for typed, want := range map[string]string{
		"dta": "data", "Cluster": "cluster", "bank": "banks", "note": "node", "cordinators": "coordinators",
		"coordinator": "coordinators", "frobnicate": "", "x": "", "": "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}

func TestQuoteForShell(t *testing.T) {
	for word, want := range map[string]string{
		"--amount=10.50": "--amount=10.50",
		"two words":      "'two words'",
		"it's":           `'it'\''s'`,
		"$(rm)":          "'$(rm)'",
		"a\nb":           "'a\nb'",
	} {
		if got := quoteForShell(word); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestStrangersCannotMoveTheCursor(t *testing.T) {
	for text, want := range map[string]string{
		"rent for März": "rent for März",
		"a\tb\nc":       `a\tb\nc`,
		"\x1b[2J":       `\x1b[2J`,
		"\u202etxt":     `\u202etxt`,
		"it's":          "it's",
	} {
		if got := printable(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzParseConfig: whatever stands in the file, the answer is a configuration that can be used or an error of one line.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{
		"", "a: b", "cluster: [", "nodes: {a: 1}", "node: -1", "? {a: b}\n: c", "1: 2", "nodes: [null]", "- a", "&a [*a]", "nodes: &n [*n]",
		"cluster: c\nnode: 1\ndata: d\nnodes:\n  - { id: 1, peer: \"h:1\", grpc: \"h:2\", http: \"h:3\" }\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parseConfig(text)
		if err == nil {
			err = config.Validate()
			if err != nil {
				t.Fatalf("accepted, and can't be used: %v", err)
			}
			return
		}
		if strings.TrimSpace(err.Error()) == "" {
			t.Fatal("an error that says nothing")
		}
	})
}

// TestRerunLineRepeatsEveryFlag: a flag of `transfer create` that the re-run forgot would ask for another transfer.
func TestRerunLineRepeatsEveryFlag(t *testing.T) {
	root := newRoot()
	cmd, _, err := root.Find([]string{"transfer", "create"})
	if err != nil {
		t.Fatal(err)
	}
	known := append([]string{"id", "help"}, rerunFlags...)
	for _, line := range strings.Split(cmd.LocalFlags().FlagUsages()+cmd.InheritedFlags().FlagUsages(), "\n") {
		_, rest, ok := strings.Cut(line, "--")
		if name, _, _ := strings.Cut(rest, " "); ok && !slices.Contains(known, name) {
			t.Errorf("--%s is not repeated", name)
		}
	}
	id := transfer.ID{1}
	if err := cmd.ParseFlags([]string{"--leg", "debit:a/b:1:EUR", "--leg=credit:a/c:1:EUR", "-q", "--reference", "it's"}); err != nil {
		t.Fatal(err)
	}
	want := "quorate transfer create --id " + id.String() + ` --leg=debit:a/b:1:EUR --leg=credit:a/c:1:EUR '--reference=it'\''s' --quiet=true`
	if got := rerunLine(cmd, id); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
