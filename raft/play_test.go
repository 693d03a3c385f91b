package raft_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/raft/rafttest"
)

// Each file in testdata is a play. Regenerate with -rewrite and read the difference.
func TestPlays(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		e := rafttest.New()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := e.Handle(d)
			if strings.Contains(out, "VIOLATION") {
				t.Errorf("%s: %s", d.Pos, out)
			}
			return out
		})
	})
}
