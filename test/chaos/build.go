package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// binaries are the programs that the nodes run: the one they start with, and the one they are moved to.
type binaries struct{ first, next string }

// buildBinaries builds what wasn't named. Both come from this tree: they differ by the version they say they are.
func buildBinaries(ctx context.Context, o *options, dir string) (binaries, error) {
	b := binaries{first: o.binary, next: o.next}
	if b.first == "" {
		b.first = filepath.Join(dir, "quorate")
		if err := build(ctx, b.first, "chaos-first"); err != nil {
			return b, err
		}
	}
	if b.next == "" {
		b.next = filepath.Join(dir, "quorate-next")
		if err := build(ctx, b.next, "chaos-next"); err != nil {
			return b, err
		}
	}
	return b, nil
}

func build(ctx context.Context, to, version string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "-ldflags", "-X main.version="+version, "github.com/quorate/quorate/cmd/quorate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build quorate: %w\n%s", err, out)
	}
	return nil
}
