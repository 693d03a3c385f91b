package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestFlagsThatCanNotBeRight(t *testing.T) {
	for _, args := range [][]string{{"--for", "0s"}, {"--rate", "0"}, {"--engine", "zab"}, {"--faults", "kill,flood"}, {"-o", "xml"}, {"more"}, {"--nonsense"}} {
		var stderr bytes.Buffer
		if _, err := parse(args, &stderr); err == nil {
			t.Errorf("%v: taken", args)
		}
	}
}

func TestTheReplayIsTheSameRun(t *testing.T) {
	var stderr bytes.Buffer
	first, err := parse([]string{"--for", "90s", "--seed", "77", "--rate", "50", "--faults", "kill,pause", "--engine", "etcd", "--storm", "9s", "--binary", "old", "--next-binary", "new"}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.TrimPrefix(first.replay(), "go run ./test/chaos "))
	again, err := parse(args, &stderr)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if again.replay() != first.replay() || again.seed != 77 || again.duration != 90*time.Second || len(again.kinds) != 2 || again.next != "new" {
		t.Errorf("%s\nbecomes %s", first.replay(), again.replay())
	}
}

func TestASeedIsDrawnIfNoneIsNamed(t *testing.T) {
	var stderr bytes.Buffer
	o, err := parse(nil, &stderr)
	if err != nil || o.seed == 0 || len(o.kinds) != len(kinds) {
		t.Errorf("%+v, %v", o, err)
	}
}
