package api_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api"
)

// TestErrorPageHasEveryCode: the table of docs/errors.md is what the faces do. -rewrite writes it.
func TestErrorPageHasEveryCode(t *testing.T) {
	const page, begin, end = "../docs/errors.md", "<!-- codes -->\n", "<!-- end of the codes -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the codes", page)
	}
	table := codeTable(t)
	if *rewrite {
		if err := os.WriteFile(page, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(old, table); diff != "" {
		t.Errorf("%s (-page +source); go test ./api -run ErrorPage -rewrite writes it:\n%s", page, diff)
	}
}

func codeTable(t *testing.T) string {
	all := everyError(t)
	verdict := func(i int) api.Verdict { _, v := api.Judge(all[i]); return v }
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(verdict(a).Exit, verdict(b).Exit), cmp.Compare(verdict(a).HTTP, verdict(b).HTTP), cmp.Compare(all[a].Code, all[b].Code))
	})
	var out strings.Builder
	out.WriteString("| code | meaning | gRPC | HTTP | exit | retryable | outcome |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, i := range order {
		v, again := verdict(i), "no"
		if v.Retryable {
			again = fmt.Sprintf("after %v", v.RetryAfter)
		}
		fmt.Fprintf(&out, "| `%s` | %s | `%s` | %d | %d | %s | `%s` |\n", all[i].Code, all[i].Meaning, v.GRPC, v.HTTP, v.Exit, again, v.Outcome)
	}
	return out.String()
}
