package house_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

type set map[string]bool

// order is the parsed order text.
type order struct {
	rooms   set
	dry     set
	edges   map[string]set      // room → what stands directly left of it
	left    map[string]bool     // name on the left of a < → it was first seen in the dry half
	parties map[string][]string // name → import paths of a third party
}

// parseOrder reads statements "a, b < c, d < e;" until the end of text. A name is a room, or a third party if
// parties knows it and no statement defines it. Comments run from # to the end of the line; the one that
// says "waterline" in dashes parts the dry half from the wet one.
func parseOrder(text string, parties map[string][]string) (*order, error) {
	o := &order{rooms: set{}, dry: set{}, edges: map[string]set{}, left: map[string]bool{}, parties: parties}
	halves := strings.Split(text, "--- waterline ---")
	if len(halves) != 2 {
		return nil, fmt.Errorf("%d waterlines, need 1", len(halves)-1)
	}
	// The line that holds the waterline is a comment: what is left of it in the second half is its dashes.
	_, wet, _ := strings.Cut(halves[1], "\n")
	for i, half := range []string{halves[0], wet} {
		if err := o.parseHalf(half, i == 0); err != nil {
			return nil, err
		}
	}
	o.addLeaves()
	return o, o.check()
}

func (o *order) parseHalf(text string, dry bool) error {
	var code strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		code.WriteString(line + " ")
	}
	statements := strings.Split(code.String(), ";")
	if rest := strings.TrimSpace(statements[len(statements)-1]); rest != "" {
		return fmt.Errorf("no ; after %q", rest)
	}
	for _, s := range statements[:len(statements)-1] {
		if err := o.parseStatement(s, dry); err != nil {
			return err
		}
	}
	return nil
}

func (o *order) parseStatement(s string, dry bool) error {
	lists := strings.Split(s, "<")
	if len(lists) < 2 {
		return fmt.Errorf("no < in %q", strings.TrimSpace(s))
	}
	left := names(lists[0])
	for i, list := range lists {
		right := names(list)
		if slices.Contains(right, "") || (i > 0 && slices.Contains(right, "NONE")) || (len(right) > 1 && slices.Contains(right, "NONE")) {
			return fmt.Errorf("a name is missing or NONE is misplaced in %q", strings.TrimSpace(s))
		}
		for _, name := range right {
			o.mention(name, dry)
			if i > 0 {
				o.define(name, dry)
				o.allow(name, left...)
			}
		}
		left = right
	}
	return nil
}

func names(list string) []string {
	out := strings.Split(list, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// define makes a name a room, in the half where it first stands right of a <.
func (o *order) define(name string, dry bool) {
	if !o.rooms[name] {
		o.rooms[name] = true
		o.dry[name] = dry
	}
}

func (o *order) mention(name string, dry bool) {
	if _, seen := o.left[name]; !seen {
		o.left[name] = dry
	}
}

// addLeaves makes rooms of the names that stand only on the left and are no third party: rooms that
// import nothing of ours.
func (o *order) addLeaves() {
	for name, dry := range o.left {
		if name != "NONE" && len(o.parties[name]) == 0 {
			o.define(name, dry)
		}
	}
}

// allow lets a room import what is named.
func (o *order) allow(room string, named ...string) {
	if o.edges[room] == nil {
		o.edges[room] = set{}
	}
	for _, n := range named {
		if n != "NONE" {
			o.edges[room][n] = true
		}
	}
}

// allowed is what a room may import: what stands left of it, and everything that may import.
func (o *order) allowed(room string) set {
	seen := set{}
	queue := slices.Collect(maps.Keys(o.edges[room]))
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if !seen[name] {
			seen[name] = true
			queue = slices.AppendSeq(queue, maps.Keys(o.edges[name]))
		}
	}
	return seen
}

// check refuses an order that contradicts itself.
func (o *order) check() error {
	for _, room := range slices.Sorted(maps.Keys(o.rooms)) {
		allowed := o.allowed(room)
		if allowed[room] {
			return fmt.Errorf("%s stands below itself", room)
		}
		for _, name := range slices.Sorted(maps.Keys(allowed)) {
			if o.dry[room] && o.rooms[name] && !o.dry[name] {
				return fmt.Errorf("%s is dry and may not import %s, which is wet", room, name)
			}
		}
	}
	return nil
}

// roomOf names the room of a folder; generated packages all live in the room proto.
func (o *order) roomOf(dir string) string {
	if strings.HasPrefix(dir, "proto/") {
		return "proto"
	}
	return dir
}

// partyOf names the third party that an import path belongs to; "" if the order knows none.
func (o *order) partyOf(importPath string) string {
	for _, name := range slices.Sorted(maps.Keys(o.parties)) {
		for _, p := range o.parties[name] {
			if importPath == p || strings.HasPrefix(importPath, p+"/") {
				return name
			}
		}
	}
	return ""
}

const smallOrder = `
NONE < words, proto;
words < law < whole;      # a comment; with < signs, and more
proto < encode;
# --- waterline ---
whole, grpc, pebble < world;
console, world < main;
`

var smallParties = map[string][]string{"grpc": {"rpc.example/grpc"}, "pebble": {"db.example/pebble"}, "proto": {"pb.example/proto"}}

// TestOrderIsReadAsWritten checks the parser by what the small order allows.
func TestOrderIsReadAsWritten(t *testing.T) {
	t.Parallel()
	o, err := parseOrder(smallOrder, smallParties)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"words": "", "proto": "", "console": "",
		"law":    "words",
		"whole":  "law words",
		"encode": "proto",
		"world":  "grpc law pebble whole words",
		"main":   "console grpc law pebble whole words world",
	}
	for room, allowed := range want {
		if got := strings.Join(slices.Sorted(maps.Keys(o.allowed(room))), " "); got != allowed || !o.rooms[room] {
			t.Errorf("%s may import %q, want %q (a room: %t)", room, got, allowed, o.rooms[room])
		}
	}
	for room := range want {
		if o.dry[room] != strings.Contains(" encode law proto whole words ", " "+room+" ") {
			t.Errorf("%s is dry: %t", room, o.dry[room])
		}
	}
	if o.rooms["grpc"] || o.rooms["NONE"] || len(o.rooms) != len(want) {
		t.Errorf("rooms are %v", o.rooms)
	}
}

func TestOrderThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a room below itself":            "NONE < a; a < b; b < c < a;\n# --- waterline ---\n",
		"a dry room above a wet one":     "NONE < a; b < c;\n# --- waterline ---\na < b;\n",
		"a statement without an end":     "NONE < a; a < b\n# --- waterline ---\n",
		"a statement without a relation": "NONE < a; b;\n# --- waterline ---\n",
		"a list with a hole":             "NONE < a; a, < b;\n# --- waterline ---\n",
		"NONE in the middle":             "NONE < a < NONE < b;\n# --- waterline ---\n",
		"NONE in company":                "NONE, a < b;\n# --- waterline ---\n",
		"no waterline":                   "NONE < a;",
		"two waterlines":                 "NONE < a;\n# --- waterline ---\n# --- waterline ---\n",
	} {
		if _, err := parseOrder(text, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
