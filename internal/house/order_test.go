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

// checkImports compares what is with what may be. A direct import must be named by the order. In depth, a room
// may further hold only what its own third parties bring along, so a forbidden library can't come in through a room
// that was allowed for something else. A violation is told once, where it enters, not again for every room above.
func (o *order) checkImports(packages []listed) []string {
	byPath := map[string]listed{}
	for _, p := range packages {
		byPath[p.ImportPath] = p
	}
	var violations []string
	for _, p := range packages {
		dir, ours := strings.CutPrefix(p.ImportPath, modulePath+"/")
		switch {
		case !ours || dir == "internal/house":
		case !o.rooms[o.roomOf(dir)]:
			violations = append(violations, fmt.Sprintf("%s is a room that the import order doesn't know", dir))
		default:
			violations = append(violations, o.checkPackage(p, dir, byPath)...)
		}
	}
	return violations
}

func (o *order) checkPackage(p listed, dir string, byPath map[string]listed) []string {
	may := o.permitOf(dir, byPath)
	var violations []string
	for _, imported := range p.Imports {
		name, ours := strings.CutPrefix(imported, modulePath+"/")
		switch {
		case byPath[imported].Standard:
		case !may.direct(imported):
			violations = append(violations, fmt.Sprintf("%s may not import %s", dir, name))
		case ours:
			if what := o.smuggled(byPath[imported], may, o.permitOf(name, byPath)); len(what) > 0 {
				violations = append(violations, fmt.Sprintf("%s may not import %s, not even through %s", dir, strings.Join(what, ", "), name))
			}
		}
	}
	return violations
}

// smuggled names what the importer may not hold and the imported package, by its own room, may: what
// neither may is told at the imported package. A third party goes by its name if it has one.
func (o *order) smuggled(imported listed, importer, carrier permit) []string {
	var named, unnamed []string
	for _, dep := range imported.Deps {
		if importer.inDepth(dep) || !carrier.inDepth(dep) {
			continue
		}
		if party := o.partyOf(dep); party != "" {
			named = append(named, party)
		} else {
			unnamed = append(unnamed, dep)
		}
	}
	if len(named) == 0 {
		named = unnamed
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// permit is what one room may import, by name and by path.
type permit struct {
	order   *order
	names   set
	brought set // packages of the third parties it may import, and what those import in depth
	byPath  map[string]listed
}

func (o *order) permitOf(dir string, byPath map[string]listed) permit {
	room := o.roomOf(dir)
	names := o.allowed(room)
	names[room] = true
	if room == "proto" {
		names["grpc"] = true // generated services; whoever imports those needs grpc by name, too
	}
	brought := set{}
	for path, p := range byPath {
		if p.Standard || !names[o.partyOf(path)] {
			continue
		}
		brought[path] = true
		for _, dep := range p.Deps {
			brought[dep] = true
		}
	}
	return permit{order: o, names: names, brought: brought, byPath: byPath}
}

func (m permit) direct(imported string) bool {
	if name, ours := strings.CutPrefix(imported, modulePath+"/"); ours {
		return m.names[m.order.roomOf(name)]
	}
	return m.names[m.order.partyOf(imported)]
}

func (m permit) inDepth(dep string) bool {
	return m.byPath[dep].Standard || m.brought[dep] || m.direct(dep)
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

// TestForbiddenImportIsFound plants one package per rule into a world that is otherwise in order.
func TestForbiddenImportIsFound(t *testing.T) {
	t.Parallel()
	in := func(rooms ...string) []string {
		for i := range rooms {
			rooms[i] = modulePath + "/" + rooms[i]
		}
		return rooms
	}
	world := []listed{
		{ImportPath: "fmt", Standard: true},
		{ImportPath: "pb.example/proto"},
		{ImportPath: "helper.example/snappy"},
		{ImportPath: "rpc.example/grpc/codes"},
		{ImportPath: "db.example/pebble", Imports: []string{"helper.example/snappy"}, Deps: []string{"helper.example/snappy", "fmt"}},
		{ImportPath: modulePath + "/words", Imports: []string{"fmt"}, Deps: []string{"fmt"}},
		{ImportPath: modulePath + "/law", Imports: in("words"), Deps: append(in("words"), "fmt")},
		{ImportPath: modulePath + "/proto/store", Imports: []string{"pb.example/proto"}, Deps: []string{"pb.example/proto"}},
		{ImportPath: modulePath + "/proto/v1", Imports: []string{"pb.example/proto", "rpc.example/grpc/codes"}, Deps: []string{"pb.example/proto", "rpc.example/grpc/codes"}},
		{ImportPath: modulePath + "/internal/house"},
	}
	tests := []struct {
		name    string
		planted listed
		want    string // "" for no violation
	}{
		{"a room may import what the order gives it in depth", listed{ImportPath: modulePath + "/whole", Imports: in("words"), Deps: in("words")}, ""},
		{"a room may not import upwards", listed{ImportPath: modulePath + "/words", Imports: in("law"), Deps: in("law")}, "words may not import law"},
		{"an unknown room is a violation by itself", listed{ImportPath: modulePath + "/cellar"}, "cellar is a room that the import order doesn't know"},
		{"a package below a room is no part of it", listed{ImportPath: modulePath + "/law/extra"}, "law/extra is a room that the import order doesn't know"},
		{"a column may not reach into another", listed{ImportPath: modulePath + "/encode", Imports: in("law"), Deps: in("law")}, "encode may not import law"},
		{"a third party that is named may come in", listed{ImportPath: modulePath + "/world", Imports: []string{"db.example/pebble"}, Deps: []string{"db.example/pebble", "helper.example/snappy"}}, ""},
		{"but not what it brings along, directly", listed{ImportPath: modulePath + "/world", Imports: []string{"helper.example/snappy"}, Deps: []string{"helper.example/snappy"}}, "world may not import helper.example/snappy"},
		{"a third party that is not named may not", listed{ImportPath: modulePath + "/law", Imports: []string{"db.example/pebble"}, Deps: []string{"db.example/pebble"}}, "law may not import db.example/pebble"},
		{"generated messages may come in where proto is allowed", listed{ImportPath: modulePath + "/encode", Imports: append(in("proto/store"), "pb.example/proto"), Deps: append(in("proto/store"), "pb.example/proto")}, ""},
		{"generated services only where grpc is allowed, too", listed{ImportPath: modulePath + "/encode", Imports: in("proto/v1"), Deps: append(in("proto/v1"), "rpc.example/grpc/codes")}, "encode may not import grpc, not even through proto/v1"},
		{"and what a lower room may not hold either is told there", listed{ImportPath: modulePath + "/whole", Imports: in("law"), Deps: append(in("law"), "db.example/pebble")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := parseOrder(smallOrder, smallParties)
			if err != nil {
				t.Fatal(err)
			}
			got := o.checkImports(append(slices.Clone(world), tt.planted))
			if want := oneOrNone(tt.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func oneOrNone(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
