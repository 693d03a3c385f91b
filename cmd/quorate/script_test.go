package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quorate": main})
}

// TestScripts runs what a user types. The servers are real processes: this binary, called quorate.
func TestScripts(t *testing.T) {
	shared := &sharedCluster{t: t}
	t.Cleanup(shared.stop)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("QUORATE_SERVER", "127.0.0.1:1") // nobody listens there: a script names its own servers
			env.Setenv("GORACE", "atexit_sleep_ms=0")   // else every command that is built with -race ends a second late
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster":    shared.use,
			"exits":      exits,
			"eventually": eventually,
			"freeports":  freePorts,
			"get":        get,
			"post":       post,
			"samejson":   sameJSON,
			"sameshape":  sameShape,
			"untouched":  untouched,
			"remember":   remember,
			"openmany":   openMany,
			"signal":     sendSignal,
			"interrupt":  interrupt,
			"loseentry":  loseEntry,
			"mistake":    mistake,
			"endedcert":  endedCert,
			"flipbit":    flipBit,
			"miscount":   miscountIn,
		},
	})
}

// exits runs a program and wants one exit code: exits CODE PROGRAM ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	if got := exitCodeOf(ts, args[1:]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func exitCodeOf(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// patience bounds every wait of a script.
const patience = time.Minute

// poll tries until it works or patience ends; it returns the last error.
func poll(try func() error) error { return pollFor(patience, try) }

func pollFor(patience time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// eventually repeats a program until it exits with 0, and its output contains a text, or has just as many matches of a pattern:
// eventually [-stdout TEXT | -count=N PATTERN] PROGRAM ARG…
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	pattern, count := "", 0 // without a count, one match or more
	if len(args) > 2 {
		if n, ok := strings.CutPrefix(args[0], "-count="); ok {
			var err error
			if count, err = strconv.Atoi(n); err != nil || count < 1 {
				ts.Fatalf("eventually waits for one match or more, not for %s", n)
			}
			pattern, args = args[1], args[2:]
		} else if args[0] == "-stdout" {
			pattern, args = regexp.QuoteMeta(args[1]), args[2:]
		}
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually [-stdout TEXT | -count=N PATTERN] PROGRAM ARG…")
	}
	want, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	ts.Check(poll(func() error {
		if err := ts.Exec(args[0], args[1:]...); err != nil {
			return err
		}
		out := ts.ReadFile("stdout")
		if n := len(want.FindAllString(out, -1)); n == 0 || count > 0 && n != count {
			return fmt.Errorf("the output had %d matches of %q at last; it was:\n%s", n, pattern, out)
		}
		return nil
	}))
}

// freePorts rewrites configuration files of one cluster to ports that nobody uses, and tells them to the script as
// $GRPC1, $HTTP1, $PEER1, $GRPC2, …: freeports FILE…
func freePorts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeports FILE…")
	}
	for i, name := range args {
		args[i] = ts.MkAbs(name)
	}
	places, err := rewritePorts(args)
	ts.Check(err)
	for name, address := range places {
		ts.Setenv(name, address)
	}
}

func rewritePorts(files []string) (places map[string]string, err error) {
	places = map[string]string{}
	var pairs []string
	for id := 1; id <= len(files); id++ {
		for _, door := range []struct {
			name string
			port int
		}{{"GRPC", grpcPorts}, {"PEER", peerPorts}, {"HTTP", httpPorts}} {
			address, err := ports.free()
			if err != nil {
				return nil, err
			}
			places[fmt.Sprint(door.name, id)] = address
			pairs = append(pairs, fmt.Sprintf(`"127.0.0.1:%d"`, door.port+id), strconv.Quote(address))
		}
	}
	replacer := strings.NewReplacer(pairs...)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(replacer.Replace(string(text))), 0o644); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// portPool hands out ports below those that the system gives to outgoing connections, so that nobody takes one
// between here and the server that will listen on it.
type portPool struct {
	mu   sync.Mutex // guards next
	next int
}

var ports = portPool{next: 10_000 + os.Getpid()%9_000*2}

func (p *portPool) free() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		p.next++
		address := fmt.Sprintf("127.0.0.1:%d", p.next)
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port found")
}

// get writes a server's answer to a file: get URL FILE
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get URL FILE")
	}
	response, err := http.Get(args[0])
	ts.Check(err)
	keep(ts, response, args[1])
}

// post sends a file to a server and writes its answer to another: post URL FILE ANSWER
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: post URL FILE ANSWER")
	}
	response, err := http.Post(args[0], "application/json", strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	keep(ts, response, args[2])
}

// sendSignal sends what the kill command doesn't know to the server of a configuration: signal TERM|INT|KILL FILE
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal TERM|INT|KILL FILE")
	}
	for _, server := range ts.BackgroundCmds() {
		if slices.Contains(server.Args, args[1]) && server.ProcessState == nil {
			ts.Check(server.Process.Signal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no server of %s is running", args[1])
}

// interrupt runs a command that creates a transfer, interrupts it when the transfer is pending, and wants the exit code
// that shells know. What it said goes to a file: interrupt ID FILE PROGRAM ARG…
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt ID FILE PROGRAM ARG…")
	}
	var said bytes.Buffer
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Env = append(os.Environ(), "QUORATE_SERVER="+ts.Getenv("QUORATE_SERVER"))
	cmd.Stderr = &said
	ts.Check(cmd.Start())
	pending := poll(func() error {
		if err := ts.Exec("quorate", "transfer", "get", args[0]); err != nil {
			return err
		}
		if !strings.Contains(ts.ReadFile("stdout"), " pending ") {
			return errors.New("the transfer is not pending")
		}
		return nil
	})
	killed := cmd.Process.Signal(os.Interrupt)
	ended := cmd.Wait()
	ts.Check(errors.Join(pending, killed))
	var exit *exec.ExitError
	if !errors.As(ended, &exit) || exit.ExitCode() != exitInterrupted {
		ts.Fatalf("ended with %v, want exit code %d:\n%s", ended, exitInterrupted, &said)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), said.Bytes(), 0o644))
}

// openMany opens accounts a0001, a0002, … of a bank: openmany SERVER BANK COUNT
func openMany(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: openmany SERVER BANK COUNT")
	}
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	numbers := make(chan int)
	failures := make(chan error, count)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for n := range numbers {
				failures <- openAccount(args[0]+"/v1/banks/"+args[1]+"/accounts", fmt.Sprintf("a%04d", n))
			}
		})
	}
	for n := range count {
		numbers <- n + 1
	}
	close(numbers)
	workers.Wait()
	close(failures)
	for err := range failures {
		ts.Check(err)
	}
}

func openAccount(url, id string) error {
	response, err := http.Post(url, "application/json", strings.NewReader(fmt.Sprintf(`{"id": %q, "currency": "EUR"}`, id)))
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return errors.Join(fmt.Errorf("open %s: %s", id, response.Status), response.Body.Close())
	}
	return response.Body.Close()
}

func keep(ts *testscript.TestScript, response *http.Response, file string) {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode >= 300 {
		ts.Fatalf("%s: %s", response.Status, body)
	}
	ts.Check(os.WriteFile(ts.MkAbs(file), body, 0o644))
}

// sameJSON wants two files with the same value: samejson FILE FILE. stdout is a file, too.
func sameJSON(ts *testscript.TestScript, neg bool, args []string) {
	compareJSON(ts, neg, args, func(v any) any { return v })
}

// sameShape wants two files with the same names and kinds of fields, whatever their values.
func sameShape(ts *testscript.TestScript, neg bool, args []string) {
	compareJSON(ts, neg, args, shapeOf)
}

func compareJSON(ts *testscript.TestScript, neg bool, args []string, reduce func(any) any) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samejson|sameshape FILE FILE")
	}
	var values [2]any
	for i, name := range args {
		d := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
		d.UseNumber()
		ts.Check(d.Decode(&values[i]))
	}
	if diff := cmp.Diff(reduce(values[0]), reduce(values[1])); diff != "" {
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], diff)
	}
}

func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = shapeOf(v[key])
		}
		return v
	case []any:
		var shapes []any
		for _, item := range v {
			shapes = append(shapes, shapeOf(item))
		}
		return shapes
	}
	return fmt.Sprintf("%T", v)
}

// remember keeps what a directory holds; untouched fails if that has changed: remember DIR … untouched DIR
func remember(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: remember DIR")
	}
	ts.Setenv("REMEMBERED", contentOf(ts, args[0]))
}

func untouched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: untouched DIR")
	}
	if diff := cmp.Diff(ts.Getenv("REMEMBERED"), contentOf(ts, args[0])); diff != "" {
		ts.Fatalf("%s has changed:\n%s", args[0], diff)
	}
}

// contentOf lists the files below a directory with their sizes and times. A lock that was taken and left again
// may have a new time.
func contentOf(ts *testscript.TestScript, dir string) string {
	var lines []string
	dir = ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			lines = append(lines, fmt.Sprintf("%s %d bytes %s", name, info.Size(), info.ModTime().Format(time.RFC3339Nano)))
		}
		return err
	}))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// sharedCluster is three servers for all scripts that don't end any of them. Each uses accounts of its own.
type sharedCluster struct {
	t       *testing.T
	once    sync.Once
	err     error
	servers []*exec.Cmd
	logs    []*bytes.Buffer // of the servers; read when they have ended
	places  map[string]string
}

// use tells a script where the shared cluster is: $QUORATE_SERVER, $GRPC1, $HTTP1, …
func (c *sharedCluster) use(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: cluster")
	}
	c.once.Do(func() { c.err = c.start() })
	ts.Check(c.err)
	for name, address := range c.places {
		ts.Setenv(name, address)
	}
	ts.Setenv("QUORATE_SERVER", c.places["GRPC1"]+","+c.places["GRPC2"]+","+c.places["GRPC3"])
}

func (c *sharedCluster) start() error {
	dir := c.t.TempDir()
	if out, err := exec.Command("quorate", "config", "init", "--dir", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "node*.yaml"))
	if err != nil {
		return err
	}
	if c.places, err = rewritePorts(files); err != nil {
		return err
	}
	for _, file := range files {
		if err := c.serve(file); err != nil {
			return err
		}
	}
	return poll(func() error {
		for id := range c.servers {
			if err := c.ready(id + 1); err != nil {
				return err
			}
		}
		return nil
	})
}

// serve starts one server.
func (c *sharedCluster) serve(file string) error {
	log := new(bytes.Buffer)
	server := exec.Command("quorate", "server", "--config", file)
	server.Stderr = log
	if err := server.Start(); err != nil {
		return err
	}
	c.servers, c.logs = append(c.servers, server), append(c.logs, log)
	return nil
}

// ready wants a node that knows the leader of every group.
func (c *sharedCluster) ready(id int) error {
	response, err := http.Get("http://" + c.places[fmt.Sprint("HTTP", id)] + "/v1/status")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var s statusJSON
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return err
	}
	for _, g := range s.Groups {
		if g.Leader == 0 {
			return fmt.Errorf("node %d: group %s has no leader", id, g.Group)
		}
	}
	return nil
}

// stop ends the servers, and each must end well.
func (c *sharedCluster) stop() {
	for _, server := range c.servers {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			c.t.Error(err)
		}
	}
	for i, server := range c.servers {
		err := server.Wait()
		if err != nil {
			c.t.Errorf("server %d: %v", i+1, err)
		}
		if c.t.Failed() {
			c.t.Logf("log of server %d:\n%s", i+1, c.logs[i])
		}
	}
}
