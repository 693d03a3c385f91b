package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/transfer"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares with testdata/golden/name, which -rewrite writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// print is a reply as a person reads it: status, the headers that matter, indented JSON.
func (r reply) print(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintln(&out, r.status)
	for _, name := range []string{"Content-Type", "Location", "Preference-Applied", "Retry-After", "Request-Id", "Allow"} {
		if value := r.header.Get(name); value != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, value)
		}
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(strings.TrimSpace(r.body)), "", "  ") != nil {
		return out.String() + "\n" + r.body
	}
	return out.String() + "\n" + pretty.String() + "\n"
}

func TestAnswersLookLikeThis(t *testing.T) {
	cases := []struct {
		name, method, path, body string
		headers                  []string
		prepare                  func(*fake)
	}{
		{name: "transfer_committed", method: "POST", path: "/v1/transfers", body: oneTransfer},
		{name: "transfer_aborted", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) {
			f.submit = func(_ context.Context, t transfer.Transfer) (transfer.Record, error) { return aborted(t), nil }
		}},
		{name: "transfer_by_key", method: "POST", path: "/v1/transfers", body: "{" + legs + "}", headers: []string{`Idempotency-Key: "order 66"`}},
		{name: "transfer_get", method: "GET", path: "/v1/transfers/" + idText, prepare: func(f *fake) {
			id, _ := transfer.ParseID(idText)
			f.known[id] = transfer.Record{Transfer: transfer.Transfer{ID: id}, State: transfer.Pending, CreatedAt: epoch}
		}},
		{name: "transfer_unknown", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) {
			f.fail = fmt.Errorf("%w: after 12s", transfer.ErrOutcomeUnknown)
		}},
		{name: "no_leader", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) { f.fail = transfer.ErrNoLeader }},
		{name: "busy", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) { f.fail = transfer.ErrBusy }},
		{name: "internal", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) { f.fail = os.ErrClosed }},
		{name: "id_conflict", method: "POST", path: "/v1/transfers", body: oneTransfer, prepare: func(f *fake) { f.fail = transfer.ErrIDConflict }},
		{name: "invalid_amount", method: "POST", path: "/v1/transfers", body: strings.Replace(oneTransfer, `"1050"`, `"10.50"`, 1)},
		{name: "unknown_field", method: "POST", path: "/v1/transfers", body: strings.Replace(oneTransfer, `"reference"`, `"refernce"`, 1)},
		{name: "unknown_parameter", method: "GET", path: "/v1/banks/HOME/accounts?limits=5"},
		{name: "not_found", method: "GET", path: "/v1/transfers/" + idText},
		{name: "no_such_path", method: "GET", path: "/v2/transfers"},
		{name: "no_such_method", method: "DELETE", path: "/v1/transfers/" + idText},
		{name: "account_opened", method: "POST", path: "/v1/banks/HOME/accounts", body: `{"id":"alice","currency":"CZK","overdraft_minor":"500"}`},
		{name: "account", method: "GET", path: "/v1/banks/HOME/accounts/alice"},
		{name: "account_unlimited", method: "GET", path: "/v1/banks/HOME/accounts/@cash"},
		{name: "account_not_found", method: "GET", path: "/v1/banks/HOME/accounts/carol"},
		{name: "accounts_first_page", method: "GET", path: "/v1/banks/HOME/accounts?limit=2"},
		{name: "entries", method: "GET", path: "/v1/banks/HOME/entries?limit=1"},
		{name: "account_frozen", method: "POST", path: "/v1/banks/HOME/accounts/alice:freeze"},
		{name: "account_not_empty", method: "POST", path: "/v1/banks/HOME/accounts/alice:close"},
		{name: "statement", method: "GET", path: "/v1/banks/HOME/accounts/alice/entries?limit=1"},
		{name: "transfers_empty_page", method: "GET", path: "/v1/transfers?state=pending"},
		{name: "transfers_page", method: "GET", path: "/v1/transfers?limit=1"},
		{name: "in_doubt", method: "GET", path: "/v1/in-doubt?limit=1"},
		{name: "banks", method: "GET", path: "/v1/banks"},
		{name: "audit", method: "GET", path: "/v1/banks/HOME/audit"},
		{name: "status", method: "GET", path: "/v1/status"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, nil)
			if c.prepare != nil {
				w.fake.set(c.prepare)
			}
			golden(t, c.name+".txt", w.do(c.method, c.path, c.body, append(c.headers, "Request-Id: req-1")...).print(t))
		})
	}
}

func TestOpenAPIDocument(t *testing.T) {
	w := open(t, nil)
	golden(t, "openapi.txt", w.do("GET", "/openapi.json", "", "Request-Id: req-1").print(t))
}
