package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	modulePath = "github.com/quorate/quorate"
	root       = "../.."
)

// file is one file of the repository: its path from the root, with slashes, and its bytes.
type file struct {
	path string
	text []byte
}

func (f file) dir() string   { return path.Dir(f.path) }
func (f file) isTest() bool  { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isGo() bool    { return strings.HasSuffix(f.path, ".go") }
func (f file) isHouse() bool { return f.dir() == "internal/house" }

// isCode says that people write this file for machines: its unfinished places are unfinished behaviour.
func (f file) isCode() bool {
	switch path.Ext(f.path) {
	case ".go", ".proto", ".ts", ".tsx", ".css", ".sh", ".pml":
		return !f.isGo() || !f.isGenerated()
	}
	return f.path == ".ci/run"
}

func (f file) isGenerated() bool {
	parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.PackageClauseOnly|parser.ParseComments)
	return err == nil && ast.IsGenerated(parsed)
}

// parse reads a Go file with its comments; fset turns its positions into lines.
func (f file) parse() (*token.FileSet, *ast.File, error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution)
	return fset, parsed, err
}

// tree is every file of the repository, read once. It walks the disk instead of asking git, so that it
// works in an unpacked archive and that `go test` notices new files when it decides what to run again.
func tree(t *testing.T) []file {
	t.Helper()
	files, err := readTree()
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	return files
}

var readTree = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipVanished(err)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			return skipForeign(rel)
		}
		if !d.Type().IsRegular() || isByproduct(rel) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return skipVanished(err)
		}
		files = append(files, file{path: rel, text: text})
		return nil
	})
	return files, err
})

// skipVanished forgives a file that an editor or a running server removed while we walked.
func skipVanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// skipForeign leaves out what is not ours or not kept: the same names as in .gitignore.
func skipForeign(dir string) error {
	switch {
	case dir == "data", path.Base(dir) == ".git", path.Base(dir) == "bin", path.Base(dir) == "node_modules":
		return fs.SkipDir
	}
	return nil
}

// isByproduct names what tools leave behind; in a second working tree of git, .git is a file.
func isByproduct(name string) bool {
	if name == ".git" {
		return true
	}
	switch path.Ext(name) {
	case ".test", ".prof", ".out":
		return true
	}
	return false
}

// goFiles is every Go file that people wrote.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	for _, f := range tree(t) {
		if f.isGo() && !f.isGenerated() && !strings.Contains("/"+f.path, "/testdata/") {
			files = append(files, f)
		}
	}
	return files
}

// listed is what `go list` says of a package, in its own field names.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list's answer: %v", err)
		}
		packages = append(packages, p)
	}
}
