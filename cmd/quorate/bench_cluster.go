package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/node"
)

// benchServers is how many servers the bench starts.
const benchServers = 3

// benchCluster is three `quorate server` processes of this program on loopback.
type benchCluster struct {
	places  []node.NodeConfig
	servers []*benchServer
}

// benchServer is one of them.
type benchServer struct {
	cmd    *exec.Cmd
	log    string
	exited chan error // one place
}

// startBenchCluster starts the servers below dir; they may not be ready yet.
func startBenchCluster(ctx context.Context, dir string, o *benchOptions) (*benchCluster, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	places, err := freePlaces(benchServers)
	if err != nil {
		return nil, err
	}
	c := &benchCluster{places: places}
	for _, p := range places {
		s, err := startBenchServer(program, dir, p.ID, places, o)
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.servers = append(c.servers, s)
	}
	return c, ctx.Err()
}

func startBenchServer(program, dir string, id uint64, places []node.NodeConfig, o *benchOptions) (*benchServer, error) {
	base := filepath.Join(dir, fmt.Sprintf("node%d", id))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := os.WriteFile(base+".yaml", []byte(benchConfig(id, places, base, o)), 0o600); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	log, err := os.Create(base + ".log")
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	defer log.Close() // the process has its own
	args := []string{"server", "--config", base + ".yaml"}
	if o.profile != "" {
		args = append(args, "--profile", o.profile)
	}
	s := &benchServer{cmd: exec.Command(program, args...), log: base + ".log", exited: make(chan error, 1)}
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server %d: %w", id, err)
	}
	go func() { s.exited <- s.cmd.Wait() }() // ends with the process, which stop ends
	return s, nil
}

// benchConfig places bank i on server 1 + i mod 3, or on all of them.
func benchConfig(id uint64, places []node.NodeConfig, data string, o *benchOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: bench\ninsecure: true\nnode: %d\ndata: %q\ncoordinators: %d\nnodes:\n", id, data, o.shards)
	for _, p := range places {
		fmt.Fprintf(&b, "  - {id: %d, peer: %q, grpc: %q, http: %q}\n", p.ID, p.Peer, p.GRPC, p.HTTP)
	}
	fmt.Fprintln(&b, "banks:")
	for i := range o.banks {
		homes := fmt.Sprintf("[%d]", places[i%len(places)].ID)
		if o.replicas > 1 {
			homes = "[1, 2, 3]"
		}
		fmt.Fprintf(&b, "  - {id: bank%02d, nodes: %s}\n", i+1, homes)
	}
	return b.String()
}

func (c *benchCluster) target() benchTarget {
	t := benchTarget{secure: inTheClear(), calm: benchCalm}
	for i, p := range c.places {
		t.grpc = append(t.grpc, p.GRPC)
		t.http = append(t.http, p.HTTP)
		t.processes = append(t.processes, process{name: fmt.Sprintf("server %d", p.ID), pid: c.servers[i].cmd.Process.Pid})
	}
	return t
}

// benchStopTime is how long a server may take to end before it is killed.
const benchStopTime = 30 * time.Second

// stop ends the servers. An error says which of them had not run to the end.
func (c *benchCluster) stop() error {
	var errs []error
	for i, s := range c.servers {
		select {
		case err := <-s.exited:
			errs = append(errs, fmt.Errorf("server %d ended by itself: %w\n%s", i+1, errors.Join(err), s.lastWords()))
			s.exited <- err
		default:
			_ = s.cmd.Process.Signal(syscall.SIGTERM) // if it has ended meanwhile, exited says so
		}
	}
	for i, s := range c.servers {
		select {
		case <-s.exited:
		case <-time.After(benchStopTime):
			errs = append(errs, fmt.Errorf("server %d did not stop within %v", i+1, benchStopTime))
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	return errors.Join(errs...)
}

// lastWords is the end of the server's log.
func (s *benchServer) lastWords() string {
	const most = 2000
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
