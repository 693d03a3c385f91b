package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backend"
	"github.com/quorate/quorate/node"
)

// haltingAdmin sends the coordinators' cuts, and of each bank's nothing before it may.
type haltingAdmin struct {
	*nodeAdmin
	may <-chan struct{}
}

func (a *haltingAdmin) Cut(ctx context.Context, group string, hold uint64) (api.Cut, error) {
	c, err := a.nodeAdmin.Cut(ctx, group, hold)
	if err != nil || !strings.HasPrefix(group, "bank/") {
		return c, err
	}
	return &haltingCut{c, a.may}, nil
}

type haltingCut struct {
	api.Cut
	may <-chan struct{}
}

func (c *haltingCut) Next() ([]byte, bool, error) {
	<-c.may
	return c.Cut.Next()
}

// startHalting starts a cluster whose banks aren't backed up before they may be.
func (c *servedCluster) startHalting(may <-chan struct{}) {
	c.t.Helper()
	c.t.Cleanup(c.stop)
	for i, config := range c.configs {
		n, err := node.Start(config, node.Options{})
		if err != nil {
			c.t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
		var doors [2]net.Listener
		for k, address := range []string{config.Nodes[i].GRPC, config.Nodes[i].HTTP} {
			if doors[k], err = net.Listen("tcp", address); err != nil {
				c.t.Fatal(err)
			}
		}
		face, err := api.Serve(api.Config{GRPC: doors[0], HTTP: doors[1], Log: slog.New(slog.DiscardHandler), Admin: &haltingAdmin{&nodeAdmin{n}, may}}, backend.New(n, "test"))
		if err != nil {
			c.t.Fatal(err)
		}
		c.faces = append(c.faces, face)
	}
}

// TestABackupThatIsKilledHalfwayIsNone sends a real SIGKILL to `backup create` when some groups are written and others aren't: verify and restore take none of what is left, and once it is gone,
// the same command makes a backup.
func TestABackupThatIsKilledHalfwayIsNone(t *testing.T) {
	may := make(chan struct{})
	c := layOut(t, "halved")
	c.startHalting(may)
	c.openAccounts()
	dir := filepath.Join(t.TempDir(), "monday")
	partial := dir + ".partial"
	var said bytes.Buffer
	create := exec.Command("quorate", "backup", "create", dir, "--server", c.servers())
	create.Stderr = &said
	if err := create.Start(); err != nil {
		t.Fatal(err)
	}
	begun := poll(func() error {
		if bytesIn(partial) == 0 {
			return fmt.Errorf("nothing is written in %s", partial)
		}
		return nil
	})
	if err := create.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = create.Wait() // it says that it was killed
	close(may)
	if begun != nil {
		t.Fatalf("%v\n%s", begun, said.String())
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("there is a backup")
	}
	fresh := layOut(t, "fresh").configs[0]
	config := filepath.Join(t.TempDir(), "node1.yaml")
	if err := os.WriteFile(config, []byte(configOf(1, fresh.Nodes, fresh.DataDir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"backup", "verify", partial}, {"backup", "restore", partial, "--config", config}} {
		var out, said bytes.Buffer
		if code := runMain(newRoot(), args, &out, &said); code != exitUsage || !strings.Contains(said.String(), "this is not a backup of Quorate: "+partial) {
			t.Errorf("quorate %s: exit code %d: %s%s", strings.Join(args, " "), code, out.String(), said.String())
		}
	}
	for _, made := range []string{fresh.DataDir, fresh.DataDir + ".restoring"} {
		if _, err := os.Stat(made); err == nil {
			t.Errorf("restore has made %s", made)
		}
	}
	if err := os.RemoveAll(partial); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "backup", "create", dir, "--server", c.servers())
	mustRun(t, "backup", "verify", dir)
}

// bytesIn is how much the files of a directory hold, of those that there are.
func bytesIn(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error { // it may not be there yet
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
