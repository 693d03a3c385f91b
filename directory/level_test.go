package directory_test

import (
	"testing"

	"github.com/quorate/quorate/directory"
)

// TestTheLevelOnlyRises, is kept by a checkpoint, and shows in the hash.
func TestTheLevelOnlyRises(t *testing.T) {
	h := newHost(t)
	if h.Level() != directory.LevelFirst {
		t.Fatalf("it begins at level %d", h.Level())
	}
	before := h.Hash()
	if err := h.do(directory.Fact{Raise: directory.LevelHolds}); err != nil {
		t.Fatal(err)
	}
	if h.Level() != directory.LevelHolds || h.Hash() == before {
		t.Errorf("level %d, hash %x and before %x", h.Level(), h.Hash(), before)
	}
	h.checkpoint()
	again, err := directory.New(founding, h)
	if err != nil || again.Level() != directory.LevelHolds || again.Hash() != h.Hash() {
		t.Errorf("it comes back at level %d with %v", again.Level(), err)
	}
	if err := h.do(directory.Fact{Raise: directory.LevelHolds}); err == nil {
		t.Error("it is raised twice")
	}
}
