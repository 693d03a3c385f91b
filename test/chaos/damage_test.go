package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is damaged is one file, visibly, and never one in which nobody could see it.
func TestOneFileIsSpoiltAndTheRightOne(t *testing.T) {
	before := map[string]string{"000007.log": "old", "000012.log": "newest", "000004.sst": strings.Repeat("table", 3000), "MANIFEST-000001": "manifest",
		"terms": "terms", "terms.new": "terms", "LOCK": ""}
	hit, ways := map[string]bool{}, map[string]bool{}
	for chance := range uint64(400) {
		chance *= 0x9e3779b97f4a7c15
		dir := t.TempDir()
		for name, text := range before {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		what, err := spoil(dir, chance)
		if err != nil {
			t.Fatal(err)
		}
		var changed []string
		for name, text := range before {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && string(b) == text {
				continue
			}
			changed = append(changed, name)
			switch {
			case err != nil:
				ways["gone"] = true
			case len(b) < len(text):
				ways["cut"] = true
			case bytes.IndexByte(b, 0) >= 0:
				ways["zeros"] = true
			default:
				ways["bit"] = true
			}
		}
		if len(changed) != 1 || !strings.Contains(what, changed[0]) {
			t.Fatalf("%q: changed are %q", what, changed)
		}
		hit[changed[0]] = true
		if changed[0] == "000007.log" && !strings.HasPrefix(what, "a bit") {
			t.Errorf("a log that is gone or ends early may be sound: %s", what)
		}
	}
	if slices.Contains([]bool{hit["000007.log"], hit["000004.sst"], hit["MANIFEST-000001"]}, false) || len(hit) != 3 || len(ways) != 4 {
		t.Errorf("hit were %v, by %v", hit, ways)
	}
}

// A server that ends because it has found damage is started again; one whose files nobody has touched may not end so.
func TestOnlyADamagedServerMayFindDamage(t *testing.T) {
	for _, row := range []struct{ damaged, full, again bool }{{false, false, false}, {true, false, true}, {true, true, false}} {
		dir := t.TempDir()
		program := filepath.Join(dir, "server")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho begun >>"+dir+"/starts\n[ $(wc -l <"+dir+"/starts) -gt 1 ] && exec sleep 60\nexit 9\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		j, err := newJournal(&bytes.Buffer{}, filepath.Join(dir, "log"), func() {})
		if err != nil {
			t.Fatal(err)
		}
		s := &server{j: j, id: 2, program: program, log: filepath.Join(dir, "node.log"), damaged: row.damaged}
		s.stayDown(row.full) // on a full disk it would end once more
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		first := s.gone
		s.mu.Unlock()
		settled := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.starts == 2 || s.cmd == nil
		}
		for end := time.Now().Add(time.Minute); !settled() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if running := s.pid() != 0; running != row.again {
			t.Errorf("%+v: running %v", row, running)
		}
		s.end()
		if !row.again {
			<-first
		}
		if broken := j.broken() != nil; broken == row.damaged {
			t.Errorf("%+v: broken %v", row, j.broken())
		}
		if err := s.start(); err != nil || s.pid() != 0 {
			t.Errorf("after the end it was started again, %v", err)
		}
	}
}
