package house_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

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
