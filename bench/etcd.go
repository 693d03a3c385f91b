package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// etcdCluster is three etcd servers; its clients put one value each time. That is agreement on a log and nothing else: no transfer,
// no banks, no second phase.
type etcdCluster struct {
	o         *options
	endpoints []string
	servers   []*child
}

func (e *etcdCluster) name() string { return "etcd" }

const (
	etcdServers    = 3
	etcdValueBytes = 128

	// The connections that clients share, as the unary ones of `quorate bench` do.
	callsPerConnection = 100
	connectionsMost    = 8

	windowBytes = 4 << 20 // fixed, as theirs
)

func (e *etcdCluster) start(ctx context.Context) error {
	program, err := exec.LookPath("etcd")
	if err != nil {
		return errors.New("there is no etcd here: apt-get install etcd-server")
	}
	ports, err := freePorts(2 * etcdServers)
	if err != nil {
		return err
	}
	var members []string
	for i := range etcdServers {
		members = append(members, fmt.Sprintf("n%d=http://127.0.0.1:%d", i, ports[2*i]))
		e.endpoints = append(e.endpoints, fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1]))
	}
	for i := range etcdServers {
		dir, err := makeDir(e.o.scratch, fmt.Sprintf("etcd-%d", i), "")
		if err != nil {
			return err
		}
		peer := fmt.Sprintf("http://127.0.0.1:%d", ports[2*i])
		c, err := startChild(dir, "", program, "--name", fmt.Sprintf("n%d", i), "--data-dir", filepath.Join(dir, "data"),
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--listen-client-urls", e.endpoints[i], "--advertise-client-urls", e.endpoints[i],
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new", "--quota-backend-bytes", "8000000000")
		if err != nil {
			return err
		}
		e.servers = append(e.servers, c)
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return until(func() error {
		waiting, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_, err := c.Put(waiting, "ready", "yes")
		return err
	})
}

func (e *etcdCluster) connect() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: e.endpoints, DialTimeout: patience, DialOptions: []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(windowBytes), grpc.WithStaticConnWindowSize(windowBytes),
	}})
}

func (e *etcdCluster) measure(ctx context.Context, clients int) (measurement, error) {
	var connections []*clientv3.Client
	defer func() {
		for _, c := range connections {
			_ = c.Close() // nobody uses it any more
		}
	}()
	for range min((clients+callsPerConnection-1)/callsPerConnection, connectionsMost) {
		c, err := e.connect()
		if err != nil {
			return measurement{}, err
		}
		connections = append(connections, c)
	}
	value := strings.Repeat("v", etcdValueBytes)
	var workers []worker
	for i := range clients {
		workers = append(workers, &workerEtcd{client: connections[i%len(connections)], value: value})
	}
	var pids []int
	for _, s := range e.servers {
		pids = append(pids, s.cmd.Process.Pid)
	}
	return loop(ctx, e.o, e.name(), workers, pids)
}

func (e *etcdCluster) stop() error {
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.stop(syscall.SIGTERM))
	}
	return errors.Join(errs...)
}

type workerEtcd struct {
	client *clientv3.Client
	value  string
}

func (w *workerEtcd) do(ctx context.Context) error {
	_, err := w.client.Put(ctx, fmt.Sprintf("%016x", rand.Uint64()), w.value)
	return err
}

func (w *workerEtcd) close() {}
