package raft_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/raft/rafttest"
)

// Each file in testdata is a play. Regenerate with -rewrite and read the difference.
func TestPlays(t *testing.T) {
	plays, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(plays) == 0 {
		t.Fatal("no plays: ", err)
	}
	for _, path := range plays {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
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
}
