//go:build mutants

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
)

// runQuorate runs one command line in this process.
func runQuorate(args ...string) (stderr string, err error) {
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err = root.Execute()
	return errs.String(), err
}

// TestMutantIsFoundShrunkAndReplayed: a broken promise names itself, the events before it and the command that shows it again; shrunk, it
// is the same promise with fewer faults, and a file repeats it.
func TestMutantIsFoundShrunkAndReplayed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schedule.json")
	stderr, err := runQuorate("sim", "--mutant", "vote-before-durable", "--seed", "1", "--seeds", "50", "--jobs", "1", "--shrink", "--save", file)
	var broken invariant.Broken
	if !errors.As(err, &broken) {
		t.Fatalf("want a broken promise, got %v\n%s", err, stderr)
	}
	var advice *adviceError
	if !errors.As(err, &advice) || !strings.HasPrefix(advice.try, "go run -tags mutants ./cmd/quorate sim --mutant vote-before-durable --seed 0x") {
		t.Errorf("the failure doesn't say how to repeat it: %v", err)
	}
	for _, want := range []string{"the last events:", "single faults to ", "replay the shrunk run: "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in\n%s", want, stderr)
		}
	}
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), `"mutant": "vote-before-durable"`) {
		t.Fatalf("the schedule: %s, %v", data, err)
	}
	_, again := runQuorate("sim", "--schedule", file)
	var brokenAgain invariant.Broken
	if !errors.As(again, &brokenAgain) || brokenAgain.Message != broken.Message {
		t.Errorf("the schedule ends with %v, want %q", again, broken.Message)
	}
}

func TestMutantThatNobodyPlanted(t *testing.T) {
	if _, err := runQuorate("sim", "--mutant", "gremlin", "--seed", "1"); err == nil || !strings.Contains(err.Error(), "not planted anywhere") {
		t.Errorf("got %v", err)
	}
}

// What was found must not be lost for the want of a file.
func TestAMutantIsToldOfAlsoIfItsScheduleCannotBeSaved(t *testing.T) {
	stderr, err := runQuorate("sim", "--mutant", "elect-by-minority", "--seed", "1", "--seeds", "50", "--jobs", "1", "--length", "2s", "--shrink", "--save", filepath.Join(t.TempDir(), "missing", "schedule.json"))
	var broken invariant.Broken
	var advice *adviceError
	if !errors.As(err, &broken) || !errors.As(err, &advice) || !strings.Contains(advice.try, "--seed 0x") {
		t.Fatalf("want a broken promise and how to repeat it, got %v", err)
	}
	if strings.Count(err.Error(), "\n") > 0 || strings.Contains(err.Error(), "invariant broken") {
		t.Errorf("the error is no single line: %v", err)
	}
	for _, want := range []string{`"only":`, "the schedule isn't saved, but it stands above"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in\n%s", want, stderr)
		}
	}
}

func TestAScheduleHasItsOwnMutant(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schedule.json")
	if err := os.WriteFile(file, []byte(`{"seed": "0x1", "duration": "1s", "faults": "none", "mutant": "vote-twice", "only": {}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := runQuorate("sim", "--schedule", file, "--mutant", "cut-on-repeat"); err == nil || !strings.Contains(err.Error(), `made with mutant "vote-twice"`) {
		t.Errorf("got %v", err)
	}
}
