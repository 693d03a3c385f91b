package house_test

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const linesMax = 600

// checkPackageComments wants one file per package to say in its package comment what the package is for.
func checkPackageComments(files []file) []string {
	told := map[string]bool{}
	for _, f := range files {
		if f.isTest() {
			continue
		}
		_, parsed, err := f.parse()
		if err != nil {
			return []string{err.Error()}
		}
		name := parsed.Name.Name
		doc := parsed.Doc.Text()
		key := f.dir() + ": package " + name
		told[key] = told[key] || strings.HasPrefix(doc, "Package "+name+" ") || (name == "main" && strings.HasPrefix(doc, "Command "))
	}
	var violations []string
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if !told[key] {
			violations = append(violations, key+" has no comment that says what it is for")
		}
	}
	return violations
}

// checkLengths finds files that hold two topics. The list of exceptions may not outlive its reasons.
func checkLengths(files []file, long map[string]string) []string {
	var violations []string
	excused := set{}
	for _, f := range files {
		lines := bytes.Count(f.text, []byte("\n"))
		reason, listed := long[f.path]
		switch {
		case lines > linesMax && strings.TrimSpace(reason) == "":
			violations = append(violations, fmt.Sprintf("%s has %d lines, more than %d, and no reason in longFiles", f.path, lines, linesMax))
		case lines > linesMax && listed:
			excused[f.path] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(long)) {
		if !excused[name] && strings.TrimSpace(long[name]) != "" {
			violations = append(violations, name+" is in longFiles and isn't a long file any more")
		}
	}
	return violations
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b|(?i:not implemented)`)

// checkUnfinished finds words that put work off. What is missing is said to its user, in the docs.
func checkUnfinished(f file) []string {
	var violations []string
	for n, line := range bytes.Split(f.text, []byte("\n")) {
		if word := unfinished.Find(line); word != nil {
			violations = append(violations, fmt.Sprintf("%s:%d: says %q", f.path, n+1, word))
		}
	}
	return violations
}

const playMark = "// play:"

// checkPlays holds a comment "// play: name" to its word: the script name.txt is in a testdata folder at or below
// the package, so the way from a rare branch to its test stays open.
func checkPlays(f file, files []file) []string {
	fset, parsed, err := f.parse()
	if err != nil {
		return []string{err.Error()}
	}
	var violations []string
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			mark, marked := strings.CutPrefix(comment.Text, playMark)
			if !marked {
				continue
			}
			for _, play := range names(mark) {
				if !hasPlay(files, f.dir(), play) {
					line := fset.Position(comment.Pos()).Line
					violations = append(violations, fmt.Sprintf("%s:%d: no play testdata/%s.txt at or below %s", f.path, line, play, f.dir()))
				}
			}
		}
	}
	return violations
}

func hasPlay(files []file, dir, play string) bool {
	return slices.ContainsFunc(files, func(f file) bool {
		return strings.HasPrefix(f.path, dir+"/") && path.Base(f.dir()) == "testdata" && path.Base(f.path) == play+".txt"
	})
}

// drawers are names that say nothing about what is inside, so anything ends up there.
var drawers = set{"util": true, "utils": true, "common": true, "types": true, "helper": true, "helpers": true}

func checkPackageName(f file) []string {
	_, parsed, err := f.parse()
	if err != nil {
		return []string{err.Error()}
	}
	name := strings.TrimSuffix(parsed.Name.Name, "_test")
	if drawers[name] || drawers[path.Base(f.dir())] {
		return []string{fmt.Sprintf("%s: package %s in %s: the name doesn't say what it holds", f.path, name, f.dir())}
	}
	return nil
}

// machinePath is an absolute path of somebody's machine: it stands at the start of a word and leads below a
// folder where people work.
var machinePath = regexp.MustCompile(`(^|[^\w.$}~/-])/(work|tmp|root|home|farm|Users)/[\w.-]`)

func checkMachinePaths(f file) []string {
	if bytes.IndexByte(f.text, 0) >= 0 {
		return nil // not text
	}
	var violations []string
	for n, line := range bytes.Split(f.text, []byte("\n")) {
		if found := machinePath.Find(line); found != nil {
			violations = append(violations, fmt.Sprintf("%s:%d: names a path of one machine: %q", f.path, n+1, found))
		}
	}
	return violations
}

func TestPackageWithoutACommentIsFound(t *testing.T) {
	t.Parallel()
	good := file{path: "bank/doc.go", text: []byte("// Package bank is a contract.\npackage bank\n")}
	bare := file{path: "bank/vote.go", text: []byte("package bank\n")}
	command := file{path: "cmd/x/main.go", text: []byte("// Command x runs.\npackage main\n")}
	wrong := file{path: "raft/doc.go", text: []byte("// Package draft floats.\npackage raft\n")}
	test := file{path: "raft/core_test.go", text: []byte("// Package raft is tested.\npackage raft\n")}
	if got := checkPackageComments([]file{good, bare, command}); got != nil {
		t.Errorf("documented packages: %q", got)
	}
	if got := checkPackageComments([]file{bare}); len(got) != 1 {
		t.Errorf("a package without a comment: %q", got)
	}
	if got := checkPackageComments([]file{wrong, test}); len(got) != 1 {
		t.Errorf("a comment of another package: %q", got)
	}
}

func TestLongFileIsFound(t *testing.T) {
	t.Parallel()
	short := file{path: "raft/short.go", text: bytes.Repeat([]byte("\n"), linesMax)}
	long := file{path: "raft/long.go", text: bytes.Repeat([]byte("\n"), linesMax+1)}
	tests := []struct {
		name  string
		files []file
		list  map[string]string
		want  int
	}{
		{"a file of 600 lines is fine", []file{short}, nil, 0},
		{"one of 601 is not", []file{short, long}, nil, 1},
		{"unless there is a reason", []file{long}, map[string]string{"raft/long.go": "one table"}, 0},
		{"an empty reason is none", []file{long}, map[string]string{"raft/long.go": " "}, 1},
		{"a reason without its file has to go", []file{short}, map[string]string{"raft/short.go": "one table"}, 1},
	}
	for _, tt := range tests {
		if got := checkLengths(tt.files, tt.list); len(got) != tt.want {
			t.Errorf("%s: got %q, want %d", tt.name, got, tt.want)
		}
	}
}

func TestUnfinishedWorkIsFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"// this is done":                     0,
		"var todos []string":                  0,
		"f, err := mktemp(\"a.XXXXXX\")":      0,
		"codes.Unimplemented":                 0,
		"// TODO: later":                      1,
		"// FIXME":                            1,
		"x := 1 // XXX why":                   1,
		"panic(\"not implemented\")":          1,
		"errors.New(\"Not implemented yet\")": 1,
	} {
		if got := checkUnfinished(file{path: "a.go", text: []byte("package a\n" + line)}); len(got) != want {
			t.Errorf("%s: got %q, want %d", line, got, want)
		}
	}
}

func TestMissingPlayIsFound(t *testing.T) {
	t.Parallel()
	files := []file{{path: "raft/testdata/vote_stale.txt"}, {path: "raft/rafttest/testdata/deep.txt"}, {path: "bank/testdata/other.txt"}, {path: "raft/notes.txt"}}
	for comment, want := range map[string]int{
		"// play: vote_stale":        0,
		"// play: deep":              0,
		"// play: vote_stale, deep":  0,
		"// a play: nobody":          0,
		"// play: other":             1, // of another room
		"// play: notes":             1, // not in testdata
		"// play: vote":              1,
		"// play:":                   1,
		"// play: vote_stale, other": 1,
	} {
		source := "package raft\n\nfunc f() {\n\tf() " + comment + "\n}\n"
		if got := checkPlays(file{path: "raft/core.go", text: []byte(source)}, files); len(got) != want {
			t.Errorf("%s: got %q, want %d", comment, got, want)
		}
	}
}

func TestDrawerIsFound(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"bank/a.go": 0, "util/a.go": 1, "bank/helpers/a.go": 1, "bank/common/a.go": 1, "types/a.go": 1} {
		if got := checkPackageName(file{path: name, text: []byte("package fine\n")}); len(got) != want {
			t.Errorf("%s: got %q, want %d", name, got, want)
		}
	}
	if got := checkPackageName(file{path: "bank/a.go", text: []byte("package util_test\n")}); len(got) != 1 {
		t.Errorf("package util: %q", got)
	}
}

func TestMachinePathIsFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"see docs/work/notes.md":        0,
		"https://example.org/work/item": 0,
		"$WORK/tmp/x":                   0,
		"${dir}/tmp/x":                  0,
		"./tmp/x ../tmp/x ~/work/x":     0,
		"and/or /workers":               0,
		"cd /work/main":                 1,
		"out=\"/tmp/x\"":                1,
		"`/home/ada/src`":               1,
		"/root/go/pkg":                  1,
		"(/Users/ada)":                  1,
		"file:///tmp/x":                 0,
		"\x00 cd /work/main":            0, // not text
	} {
		if got := checkMachinePaths(file{path: "notes.md", text: []byte(line)}); len(got) != want {
			t.Errorf("%q: got %q, want %d", line, got, want)
		}
	}
}
