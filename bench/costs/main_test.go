package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// sample has functions, innermost first.
func sample(p *profile.Profile, nanoseconds int64, functions ...string) {
	s := &profile.Sample{Value: []int64{1, nanoseconds}}
	for _, name := range functions {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
		l := &profile.Location{ID: uint64(len(p.Location) + 1), Line: []profile.Line{{Function: f}}}
		p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
	}
	p.Sample = append(p.Sample, s)
}

func TestASampleCountsOnceAndForWhatItIs(t *testing.T) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	const grpc = "google.golang.org/grpc.(*Server).handleStream"
	sample(p, 40, "runtime.memmove", "github.com/quorate/quorate/api.(*flow).take", grpc)
	sample(p, 30, "google.golang.org/grpc/internal/transport.(*loopyWriter).run")
	sample(p, 10, "runtime.mallocgc", "github.com/quorate/quorate/coordinator.Encode", "github.com/quorate/quorate/node.(*Node).loop")
	sample(p, 9, "runtime.scanobject", "runtime.gcDrainN", "runtime.gcAssistAlloc", "runtime.mallocgc", "main.main")
	sample(p, 6, "github.com/quorate/quorate/coordinator.encodeRecord", "github.com/quorate/quorate/coordinator.(*Machine).Sealed", "github.com/quorate/quorate/node.(*Node).loop")
	sample(p, 5, "somebody.else")
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "node1.cpu.pprof"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(dir, &out); err != nil {
		t.Fatal(err)
	}
	const want = "node1.cpu: api: reading requests, making answers 40 %; gRPC 30 %; allocation 10 %; garbage collector 9 %; checkpoints: gathering and writing them 6 %; else 5 %\n"
	if out.String() != want {
		t.Errorf("said %swant %s", out.String(), want)
	}
}

func TestADirectoryWithoutProfilesIsSaidToHaveNone(t *testing.T) {
	if err := run(t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--profile") {
		t.Errorf("got %v", err)
	}
}
