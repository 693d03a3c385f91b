package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

// attacked is a cluster of one real node with two accounts, and what its state came to before anything was asked of it.
type attacked struct {
	node   *node.Node
	self   node.NodeConfig
	client *client.Client
	before map[lane.GroupID]uint64
}

func startAttacked(t *testing.T) *attacked {
	t.Helper()
	a := &attacked{node: startLone(t)}
	config := a.node.Config()
	var err error
	if a.self, err = config.Self(); err != nil {
		t.Fatal(err)
	}
	if a.client, err = client.Dial([]string{a.self.GRPC}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.client.Close() })
	for _, terms := range []client.Terms{{ID: "alice", Currency: "EUR", OverdraftMinor: 1_000_000}, {ID: "bob", Currency: "EUR"}} {
		if _, err := a.client.OpenAccount(ctxFor(t, patience), "north", terms); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); ; { // the node registers itself a moment after its start
		answer := a.node.Do(ctxFor(t, patience), lane.ListMembers{})[0]
		if len(answer.Members) == 1 && answer.Members[0].Node.Disk != (directory.Disk{}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", answer)
		}
	}
	a.before = a.hashes(t)
	return a
}

// hashes is what the replicas' state comes to. The node must be alive to say it.
func (a *attacked) hashes(t *testing.T) map[lane.GroupID]uint64 {
	t.Helper()
	hashes := map[lane.GroupID]uint64{}
	for _, group := range []lane.GroupID{"cluster", "coordinator/0", "bank/north"} {
		answer := a.node.Do(ctxFor(t, patience), lane.HashReplica{Group: group})[0]
		if answer.Err != nil {
			t.Fatalf("%s: %v", group, answer.Err)
		}
		hashes[group] = answer.Hash.Hash
	}
	return hashes
}

// unharmed wants the node to live, to be ready, to have changed nothing, and to move money when it is asked properly.
func (a *attacked) unharmed(t *testing.T) {
	t.Helper()
	select {
	case <-a.node.Failed():
		t.Fatal(a.node.Err())
	default:
	}
	if after := a.hashes(t); fmt.Sprint(after) != fmt.Sprint(a.before) {
		t.Errorf("the state is %v, and was %v", after, a.before)
	}
	legs := []transfer.Leg{
		{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: 1, Currency: "EUR"},
		{Bank: "north", Account: "bob", Direction: transfer.Credit, AmountMinor: 1, Currency: "EUR"},
	}
	if r, err := a.client.Transfer(ctxFor(t, patience), transfer.Transfer{Legs: legs}); err != nil || r.State != transfer.Committed {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

// malformed is one line of a corpus: METHOD PATH [Header: value]… BODY => ANSWER. <text*n> is the text n times, and a body
// q"…" is a Go string.
type malformed struct {
	line          int
	text, answer  string
	method, path  string
	headers, body string
}

var repeated = regexp.MustCompile(`<([^<>]+)\*(\d+)>`)

func expand(text string) string {
	return repeated.ReplaceAllStringFunc(text, func(found string) string {
		parts := repeated.FindStringSubmatch(found)
		n, _ := strconv.Atoi(parts[2]) // digits, by the expression
		return strings.Repeat(parts[1], n)
	})
}

func readCorpus(t *testing.T, file string) (lines []string, cases []malformed) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		c := malformed{line: i}
		c.text, c.answer, _ = strings.Cut(line, " => ")
		rest := ""
		c.method, rest, _ = strings.Cut(c.text, " ")
		c.path, rest, _ = strings.Cut(rest, " ")
		c.path = expand(c.path)
		for strings.HasPrefix(rest, "[") && strings.Contains(rest, ": ") && strings.Index(rest, ": ") < strings.Index(rest, "]") && !strings.HasPrefix(rest, "[{") && !strings.HasPrefix(rest, "[[") {
			header, more, _ := strings.Cut(rest[1:], "]")
			c.headers += expand(header) + "\n"
			rest = strings.TrimPrefix(more, " ")
		}
		c.body = expand(rest)
		if strings.HasPrefix(rest, `q"`) {
			if c.body, err = strconv.Unquote(rest[1:]); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
		cases = append(cases, c)
	}
	return lines, cases
}

// compare wants the answers of the file. With QUORATE_REWRITE they are written there, to be read by people.
func compare(t *testing.T, file string, lines []string, cases []malformed, answers []string) {
	t.Helper()
	for i, c := range cases {
		if os.Getenv("QUORATE_REWRITE") == "" && answers[i] != c.answer {
			t.Errorf("%s:%d: %s\ngot %s, want %s", file, c.line+1, c.text, answers[i], c.answer)
		}
		lines[c.line] = c.text + " => " + answers[i]
	}
	if os.Getenv("QUORATE_REWRITE") != "" {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMalformedRequestsOverHTTPChangeNothing sends a real node every line of the corpus. Each gets a problem of the right class, which tells
// that nothing was applied.
func TestMalformedRequestsOverHTTPChangeNothing(t *testing.T) {
	const file = "testdata/malformed/http.txt"
	a := startAttacked(t)
	lines, cases := readCorpus(t, file)
	if len(cases) < 300 {
		t.Fatalf("%d cases", len(cases))
	}
	answers := make([]string, len(cases))
	for i := range cases {
		answers[i] = a.overHTTP(t, &cases[i])
	}
	compare(t, file, lines, cases, answers)
	a.unharmed(t)
}

func (a *attacked) overHTTP(t *testing.T, c *malformed) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, "http://"+a.self.HTTP+c.path, body)
	if err != nil {
		t.Fatalf("line %d: %v", c.line+1, err)
	}
	for _, header := range strings.Split(strings.TrimSpace(c.headers), "\n") {
		if name, value, found := strings.Cut(header, ": "); found {
			r.Header.Set(name, value)
		}
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("line %d: %s: %v", c.line+1, c.text, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("line %d: %v", c.line+1, err)
	}
	if response.StatusCode < 400 || response.StatusCode >= 500 {
		t.Errorf("line %d: %s\n%s %s", c.line+1, c.text, response.Status, text)
	}
	var p struct {
		Code      string `json:"code"`
		Outcome   string `json:"outcome"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(text, &p); err != nil || p.Outcome != "not_applied" || p.RequestID == "" || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("line %d: %s: this is no problem of ours: %s %s", c.line+1, c.text, response.Header, text)
	}
	if len(text) > 4096 {
		t.Errorf("line %d: the answer has %d bytes", c.line+1, len(text))
	}
	for _, leak := range []string{"goroutine ", ".go:", "panic", "github.com/", a.node.Config().DataDir} {
		if strings.Contains(string(text), leak) {
			t.Errorf("line %d: %s tells of our inside: %s", c.line+1, c.text, text)
		}
	}
	return fmt.Sprintf("%d %s", response.StatusCode, p.Code)
}
