package node_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// TestDirectoriesFromBeforeTheClusterHadADirectoryStart: version 1 of the store knew no group of the cluster's own, gave directories no name and noted no beginning. Everything is
// there, the nodes are registered, and the members can be changed.
func TestDirectoriesFromBeforeTheClusterHadADirectoryStart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c := startCluster(t, 3, engine)
		c.openWorkload()
		c.mustKnowDisks()
		tr := c.startTraffic(21, 0, 1, 2)
		c.goesOn(tr)
		tr.stop()
		tr.wait.Wait()
		for i := range c.nodes {
			c.stop(i)
			makeOld(t, c.configs[i].DataDir)
		}
		for i := range c.nodes {
			c.start(i)
		}
		c.mustKnowDisks()
		again := c.startTraffic(22, 0, 1, 2)
		c.goesOn(again)
		c.accepted(0, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{1, 2, 3}})
		c.livesOn("bank/A", 1, 2, 3)
		again.stop()
		again.wait.Wait()
		c.mustSettle(tr, 1)
		c.mustSettle(again, 2)
	})
}

// makeOld takes out of a data directory what version 1 didn't have. The layout is in docs/storage.md.
func makeOld(t *testing.T, dir string) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	group := append([]byte{1, byte(len(lane.ClusterGroup))}, lane.ClusterGroup...)
	if _, closer, err := db.Get(append(bytes.Clone(group), 1)); err != nil { // its hard state
		t.Fatalf("there is no cluster's group to take out: %v", err)
	} else if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	identity, closer, err := db.Get([]byte{0})
	if err != nil {
		t.Fatal(err)
	}
	identity = bytes.Clone(identity)
	identity[len("quorate")] = 1 // the format
	body := identity[:len(identity)-4]
	sum := crc32.Update(crc32.Checksum([]byte{0}, crc32.MakeTable(crc32.Castagnoli)), crc32.MakeTable(crc32.Castagnoli), body)
	identity = binary.LittleEndian.AppendUint32(body, sum)
	err = errors.Join(closer.Close(), db.Set([]byte{0}, identity, pebble.Sync), db.Delete([]byte{3}, pebble.Sync),
		db.DeleteRange(group, append(bytes.Clone(group), 0xff), pebble.Sync), db.Close(), os.Remove(filepath.Join(dir, "terms")))
	if err != nil {
		t.Fatal(err)
	}
}

// silent keeps Pebble quiet.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
