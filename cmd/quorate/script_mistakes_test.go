package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate/quorate/pki"
)

const errorPage = "../../docs/errors.md"

// mistake runs what somebody got wrong, and wants the exit code and the last line of standard error that the error page has under its number:
// mistake NUMBER PROGRAM ARG…
func mistake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mistake NUMBER PROGRAM ARG…")
	}
	want, code, err := mistakeOnPage(args[0])
	ts.Check(err)
	ts.Check(poll(func() error { // a busy machine may answer too late, once
		got := exitCodeOf(ts, args[1:])
		lines := strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n")
		said := lines[len(lines)-1]
		if strconv.Itoa(got) != code || withoutNames(said) != withoutNames(want) {
			return fmt.Errorf("mistake %s: exit code %d and\n%s\nthe page says exit code %s and\n%s", args[0], got, said, code, want)
		}
		return nil
	}))
}

var exitCodeOnPage = regexp.MustCompile(`exit code (\d+)`)

// mistakeOnPage reads what the page says of one: the first block under its heading.
func mistakeOnPage(number string) (message, code string, err error) {
	text, err := os.ReadFile(errorPage)
	if err != nil {
		return "", "", err
	}
	_, section, found := strings.Cut(string(text), "\n### "+number+". ")
	section, _, _ = strings.Cut(section, "\n### ")
	before, block, found2 := strings.Cut(section, "\n```\n")
	message, _, found3 := strings.Cut(block, "\n```")
	exit := exitCodeOnPage.FindStringSubmatch(before)
	if !found || !found2 || !found3 || exit == nil {
		return "", "", fmt.Errorf("%s has no mistake %s with its exit code and its message", errorPage, number)
	}
	return strings.TrimSpace(message), exit[1], nil
}

// changing are parts of a message that are other ones every time.
var changing = map[*regexp.Regexp]string{
	regexp.MustCompile(`127\.0\.0\.1:\d+(,127\.0\.0\.1:\d+)*`):                         "ADDRESS",
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`): "ID",
	regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`):                                   "TIME",
	regexp.MustCompile(`"?[^" ]*/(lost|local)/`):                                       "",
}

func withoutNames(line string) string {
	for what, name := range changing {
		line = what.ReplaceAllString(line, name)
	}
	return line
}

// endedCert makes a client's certificate that ended an hour ago: endedcert DIR NAME
func endedCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: endedcert DIR NAME")
	}
	dir := ts.MkAbs(args[0])
	authority, err := pki.LoadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	ts.Check(err)
	pair, err := authority.NewClient(pki.Identity{Client: args[1], Roles: []string{"admin"}}, time.Now().Add(-2*time.Hour), time.Hour)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, args[1]+".pem"), pair.Cert, 0o600))
	ts.Check(os.WriteFile(filepath.Join(dir, args[1]+".key"), pair.Key, 0o600))
}
