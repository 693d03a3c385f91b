package house_test

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wetImports are the parts of the standard library that reach the world or hide state from the caller.
// Each stands for the packages below it, too.
var wetImports = []string{"os", "net", "sync", "log", "context", "syscall", "crypto/rand"}

// wetClock is what reads the clock or waits for it. Duration, Time and their arithmetic are fine.
var wetClock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// seededRandom is what may be used of math/rand: types, and constructors over a seed that was passed in.
// Every other name draws from a generator that belongs to nobody.
var seededRandom = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// checkDry finds what a dry room may not do: touch the world, start goroutines, read the clock, roll dice.
func checkDry(f file) []string {
	fset, parsed, err := f.parse()
	if err != nil {
		return []string{err.Error()}
	}
	var violations []string
	say := func(n ast.Node, format string, args ...any) {
		where := fset.Position(n.Pos())
		violations = append(violations, fmt.Sprintf("%s:%d: dry room %s", f.path, where.Line, fmt.Sprintf(format, args...)))
	}
	named := map[string]string{} // local name of an import → its path
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := localName(spec, imported)
		named[name] = imported
		if isWet(imported) {
			say(spec, "imports %s", imported)
		}
		if name == "." {
			say(spec, "imports %s without a name, which hides what it uses", imported)
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n, "starts a goroutine")
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok && isWetName(named[of.Name], n.Sel.Name) {
				say(n, "uses %s.%s", of.Name, n.Sel.Name)
			}
		}
		return true
	})
	return violations
}

func localName(spec *ast.ImportSpec, imported string) string {
	switch {
	case spec.Name != nil:
		return spec.Name.Name
	case imported == "math/rand/v2":
		return "rand"
	}
	return path.Base(imported)
}

func isWet(imported string) bool {
	return slices.ContainsFunc(wetImports, func(w string) bool {
		return imported == w || strings.HasPrefix(imported, w+"/")
	})
}

func isWetName(imported, name string) bool {
	switch imported {
	case "time":
		return slices.Contains(wetClock, name)
	case "math/rand", "math/rand/v2":
		return !slices.Contains(seededRandom, name)
	}
	return false
}

// checkProtoOnlyInEncode keeps the durable format of a room in the one file that owns its meaning.
func checkProtoOnlyInEncode(f file) []string {
	_, parsed, err := f.parse()
	if err != nil {
		return []string{err.Error()}
	}
	var violations []string
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		wire := strings.HasPrefix(imported, modulePath+"/proto/") || strings.HasPrefix(imported, "google.golang.org/protobuf/")
		if wire && path.Base(f.path) != "encode.go" {
			violations = append(violations, fmt.Sprintf("%s: imports %s; only encode.go may", f.path, imported))
		}
	}
	return violations
}

func TestWetCodeInADryRoomIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source, want string
	}{
		{"time as a value is dry", `import "time"; func f(now time.Time) time.Time { return now.Add(3 * time.Second) }`, ""},
		{"a generator over a seed that was passed in is dry", `import "math/rand/v2"; func f(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }`, ""},
		{"a method of a generator is dry", `import "math/rand"; func f(r *rand.Rand) int { return r.Intn(6) }`, ""},
		{"a field that is called Now is dry", `type clock struct{ Now int }; func f(c clock) int { return c.Now }`, ""},
		{"a package that only starts like a wet one is dry", `import _ "logic"; import _ "synctest"`, ""},
		{"reading a file", `import _ "os"`, "imports os"},
		{"starting a program", `import _ "os/exec"`, "imports os/exec"},
		{"opening a socket", `import _ "net/http"`, "imports net/http"},
		{"locking", `import _ "sync"`, "imports sync"},
		{"sharing memory between goroutines", `import _ "sync/atomic"`, "imports sync/atomic"},
		{"logging", `import _ "log/slog"`, "imports log/slog"},
		{"a context", `import _ "context"`, "imports context"},
		{"dice of the operating system", `import _ "crypto/rand"`, "imports crypto/rand"},
		{"a goroutine", `func f() { go f() }`, "starts a goroutine"},
		{"a goroutine inside a function value", `var f = func() { go println() }`, "starts a goroutine"},
		{"reading the clock", `import "time"; var t = time.Now()`, "uses time.Now"},
		{"reading the clock by another name", `import tm "time"; var t = tm.Since`, "uses tm.Since"},
		{"sleeping", `import "time"; func f() { time.Sleep(1) }`, "uses time.Sleep"},
		{"waiting", `import "time"; func f() { <-time.After(1) }`, "uses time.After"},
		{"a timer", `import "time"; var t = time.NewTimer(1)`, "uses time.NewTimer"},
		{"a ticker", `import "time"; var t = time.NewTicker(1)`, "uses time.NewTicker"},
		{"a tick", `import "time"; var t = time.Tick(1)`, "uses time.Tick"},
		{"a clock without a name", `import . "time"; var t = Now()`, "imports time without a name, which hides what it uses"},
		{"dice that belong to nobody", `import "math/rand"; var n = rand.Intn(6)`, "uses rand.Intn"},
		{"the same dice, second version", `import "math/rand/v2"; var n = rand.IntN(6)`, "uses rand.IntN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := ""
			if tt.want != "" {
				want = "planted.go:2: dry room " + tt.want
			}
			got := checkDry(file{path: "planted.go", text: []byte("package planted\n" + tt.source)})
			if !slices.Equal(got, oneOrNone(want)) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	if got := checkDry(file{path: "planted.go", text: []byte("package")}); len(got) != 1 {
		t.Errorf("a file that is no Go: %q", got)
	}
}

func TestWireTypesOutsideEncodeAreFound(t *testing.T) {
	t.Parallel()
	source := []byte("package ledger\nimport _ \"" + modulePath + "/proto/quorate/store/v1\"\n")
	if got := checkProtoOnlyInEncode(file{path: "ledger/encode.go", text: source}); len(got) != 0 {
		t.Errorf("encode.go: %q", got)
	}
	if got := checkProtoOnlyInEncode(file{path: "ledger/hold.go", text: source}); len(got) != 1 {
		t.Errorf("hold.go: %q", got)
	}
}
