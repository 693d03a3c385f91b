package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
)

// loseEntry takes one log entry out of a data directory, as a bad repair might: loseentry DIR GROUP INDEX
func loseEntry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: loseentry DIR GROUP INDEX")
	}
	index, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	db, err := pebble.Open(ts.MkAbs(args[0]), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quietPebble{}})
	ts.Check(err)
	key := append([]byte{1, byte(len(args[1]))}, args[1]...) // the layout is in storage/keys.go
	key = binary.BigEndian.AppendUint64(append(key, 5), index)
	_, closer, err := db.Get(key)
	ts.Check(err)
	ts.Check(errors.Join(closer.Close(), db.Delete(key, pebble.Sync), db.Close()))
}

// miscountIn adds a cent to an account in a data directory, and keeps every checksum right: miscount DIR GROUP ACCOUNT
func miscountIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: miscount DIR GROUP ACCOUNT")
	}
	ts.Check(miscount(ts.MkAbs(args[0]), args[1], args[2]))
}

func miscount(dir, group, account string) error {
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quietPebble{}})
	if err != nil {
		return err
	}
	key := append([]byte{1, byte(len(group))}, group...) // the layout is in storage/keys.go, the record in ledger.proto
	key = append(append(key, 6, 'a'), account...)
	value, closer, err := db.Get(key)
	if err != nil {
		return errors.Join(fmt.Errorf("account %s of %s: %w", account, group, err), db.Close())
	}
	var record storev1.LedgerAccount
	err = errors.Join(proto.Unmarshal(value, &record), closer.Close())
	record.PostedMinor++
	changed, marshalled := proto.Marshal(&record)
	return errors.Join(err, marshalled, db.Set(key, changed, pebble.Sync), db.Close())
}

// flipBit changes one bit early in the longest file that a pattern names: flipbit PATTERN
func flipBit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flipbit PATTERN")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	longest, content := "", []byte(nil)
	for _, file := range files {
		b, err := os.ReadFile(file)
		ts.Check(err)
		if len(b) > len(content) {
			longest, content = file, b
		}
	}
	if len(content) < 100 {
		ts.Fatalf("%s names no file of at least 100 bytes", args[0])
	}
	content[len(content)/4] ^= 0x10
	ts.Check(os.WriteFile(longest, content, 0o644))
}

// quietPebble drops what Pebble tells while a script damages a store.
type quietPebble struct{}

func (quietPebble) Infof(string, ...any)      {}
func (quietPebble) Errorf(string, ...any)     {}
func (quietPebble) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
