package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// Every operation over every face: one table (faces_table_test.go), three real servers with certificates, and clients that prove themselves by
// certificate or by token. faces_complete_test.go holds the table against what the servers offer.

// operation is a row: what is asked over each face, and what is answered there.
type operation struct {
	name   string // as in the OpenAPI document; a method of gRPC goes by the same name
	may    string // a role that may …
	mayNot string // … and one that may not; empty: all may
	grpc   call
	rest   call
	cli    call
	// refused is what the cluster says to this test, which has no fourth server: that the operation has come that far.
	refused *transfer.Error
}

// call is an operation on one face. In it {f} stands for the pass, {n} for its number from 1, {node} for a node that never was there, {id:x} for an id and {dir} for a directory.
type call struct {
	ask  string // gRPC: Service/Method and JSON; HTTP: method, path and JSON; command line: arguments
	want string // a regular expression of the answer, but for white space
	file string // the command line's: written to {dir}/{f}.csv before
	role string // if it isn't the operation's: a command may ask for more than one thing
	none string // why this face doesn't have the operation
}

// pass is one way through the table: over one face, as clients of one kind.
type pass struct {
	name   string
	number int
	face   string // grpc, rest or cli
	token  bool   // clients show a token, not a certificate
}

var passes = []pass{
	{"grpc-cert", 1, "grpc", false}, {"grpc-token", 2, "grpc", true},
	{"rest-cert", 3, "rest", false}, {"rest-token", 4, "rest", true},
	{"cli-cert", 5, "cli", false}, {"cli-token", 6, "cli", true},
}

func (p *pass) callOf(o *operation) *call {
	switch p.face {
	case "grpc":
		return &o.grpc
	case "rest":
		return &o.rest
	}
	return &o.cli
}

var idPlaceholder = regexp.MustCompile(`\{id:(\w+)\}`)

func (p *pass) fill(text, dir string) string {
	text = strings.NewReplacer("{f}", p.name, "{n}", strconv.Itoa(p.number), "{node}", strconv.Itoa(p.number+3), "{leader}", strconv.Itoa(p.number%3+1), "{dir}", dir).Replace(text)
	return idPlaceholder.ReplaceAllStringFunc(text, func(found string) string {
		sum := sha256.Sum256([]byte(p.name + found))
		sum[6], sum[8] = 0x40|sum[6]&0xf, 0x80|sum[8]&0x3f
		return transfer.ID(sum[:16]).String()
	})
}

// answer is what came back: the text, or an error's code as the face has it.
type answer struct {
	text string
	code string // of an error; empty: none
}

// secureCluster is three servers whose certificates `quorate cert` has made, and a client of each role.
type secureCluster struct {
	sharedCluster
	dir   string
	conns map[string]*grpc.ClientConn
	turn  int // which server is asked: another one after every answer that wasn't the right one
}

func (c *secureCluster) place(door string) string { return c.places[fmt.Sprint(door, c.turn%3+1)] }

func startSecureCluster(t *testing.T) *secureCluster {
	c := &secureCluster{sharedCluster: sharedCluster{t: t}, dir: t.TempDir(), conns: map[string]*grpc.ClientConn{}}
	c.must("config", "init", "--dir", c.dir, "--tls")
	c.must("cert", "create-ca", "--dir", c.dir, "--force") // those of config init are replaced: the test is of these commands
	for node := 1; node <= 3; node++ {
		c.must("cert", "create-node", strconv.Itoa(node), "--dir", c.dir, "--force")
	}
	for _, role := range roles {
		c.must("cert", "create-client", role, "--role", role, "--dir", c.dir)
	}
	files, err := filepath.Glob(filepath.Join(c.dir, "node*.yaml"))
	if err == nil {
		c.places, err = rewritePorts(files)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	for _, file := range files {
		if err := c.serve(file); err != nil {
			t.Fatal(err)
		}
	}
	c.eventually(func() error {
		return c.run("admin", false, "account", "open", "north/@cash", "--currency", "EUR", "--unlimited")
	})
	for _, role := range roles {
		c.must(append(c.flags("admin", false), "token", "create", role, "--role", role, "--out", filepath.Join(c.dir, role+".token"))...)
	}
	return c
}

var roles = []string{"submit", "read", "operate", "admin"}

func (c *secureCluster) must(args ...string) {
	c.t.Helper()
	if out, err := exec.Command("quorate", args...).CombinedOutput(); err != nil {
		c.t.Fatalf("quorate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (c *secureCluster) run(role string, token bool, args ...string) error {
	out, err := exec.Command("quorate", append(c.flags(role, token), args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("quorate %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (c *secureCluster) eventually(try func() error) {
	c.t.Helper()
	if err := poll(try); err != nil {
		c.t.Fatal(err)
	}
}

func (c *secureCluster) file(name string) string { return filepath.Join(c.dir, name) }

// flags are how the command line reaches the cluster, and what it proves itself with; no role: with nothing.
func (c *secureCluster) flags(role string, token bool) []string {
	flags := []string{"--server", c.places["GRPC1"] + "," + c.places["GRPC2"] + "," + c.places["GRPC3"], "--ca", c.file("ca.pem"), "--timeout", "30s"}
	switch {
	case role == "":
		return flags
	case token:
		return append(flags, "--token-file", c.file(role+".token"))
	}
	return append(flags, "--cert", c.file(role+".pem"), "--key", c.file(role+".key"))
}

func (c *secureCluster) ask(p *pass, what *call, role string) answer {
	c.t.Helper()
	text := p.fill(what.ask, c.dir)
	switch p.face {
	case "grpc":
		return c.overGRPC(text, p.fill(what.want, c.dir), role, p)
	case "rest":
		return c.overHTTP(text, p.fill(what.want, c.dir), role, p)
	}
	if what.file != "" {
		if err := os.WriteFile(c.file(p.name+".csv"), []byte(p.fill(what.file, c.dir)), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.overCommands(strings.Fields(text), role, p)
}

// connect dials once for each client and server.
func (c *secureCluster) connect(role string, p *pass) *grpc.ClientConn {
	c.t.Helper()
	name := p.name + role + c.place("GRPC")
	if conn := c.conns[name]; conn != nil {
		return conn
	}
	files := pki.Files{CA: c.file("ca.pem")}
	if role != "" && !p.token {
		files.Cert, files.Key = c.file(role+".pem"), c.file(role+".key")
	}
	keys, err := pki.Load(files, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(client.Credentials(keys))}
	if role != "" && p.token {
		options = append(options, grpc.WithPerRPCCredentials(client.TokenFile(c.file(role+".token"))))
	}
	conn, err := grpc.NewClient(c.place("GRPC"), options...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	c.conns[name] = conn
	return conn
}

// overGRPC calls any method by its name. Of a stream it reads until what it wants has come.
func (c *secureCluster) overGRPC(ask, want, role string, p *pass) answer {
	c.t.Helper()
	name, body, _ := strings.Cut(ask, " ")
	method := methodNamed(c.t, name)
	request := dynamicpb.NewMessage(method.Input())
	if err := protojson.Unmarshal([]byte(body), request); err != nil {
		c.t.Fatalf("%s: %v", ask, err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	stream, err := c.connect(role, p).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()))
	if err == nil {
		if err = stream.SendMsg(request); err == nil || errors.Is(err, io.EOF) { // the latter: it was refused already, and receiving tells why
			err = stream.CloseSend()
		}
	}
	var text strings.Builder
	for err == nil {
		response := dynamicpb.NewMessage(method.Output())
		if err = stream.RecvMsg(response); err == nil {
			text.WriteString(protojson.Format(response))
		}
		if method.IsStreamingServer() && matches(text.String(), want) {
			return answer{text: text.String()}
		}
	}
	if errors.Is(err, io.EOF) {
		return answer{text: text.String()}
	}
	return answer{text: err.Error(), code: reasonOf(err)}
}

func methodNamed(t *testing.T, name string) protoreflect.MethodDescriptor {
	t.Helper()
	full := protoreflect.FullName(strings.Replace(name, "/", ".", 1))
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(full)
	method, is := found.(protoreflect.MethodDescriptor)
	if err != nil || !is {
		t.Fatalf("%s is no method: %v", name, err)
	}
	return method
}

// reasonOf is the code of an error of ours, or what gRPC says.
func reasonOf(err error) string {
	s := status.Convert(err)
	for _, d := range s.Details() {
		if info, is := d.(*errdetails.ErrorInfo); is {
			return info.GetReason()
		}
	}
	if s.Code() == codes.OK {
		return err.Error()
	}
	return s.Code().String()
}

func (c *secureCluster) overHTTP(ask, want, role string, p *pass) answer {
	c.t.Helper()
	method, rest, _ := strings.Cut(ask, " ")
	path, body, _ := strings.Cut(rest, " ")
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+c.place("HTTP")+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	authority, err := os.ReadFile(c.file("ca.pem"))
	if err != nil || !config.RootCAs.AppendCertsFromPEM(authority) {
		c.t.Fatal("the authority's certificate can't be read: ", err)
	}
	switch {
	case role == "":
	case p.token:
		secret, err := os.ReadFile(c.file(role + ".token"))
		if err != nil {
			c.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	default:
		pair, err := tls.LoadX509KeyPair(c.file(role+".pem"), c.file(role+".key"))
		if err != nil {
			c.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := web.Do(r)
	if err != nil {
		return answer{text: err.Error(), code: "unreachable"}
	}
	defer response.Body.Close()
	text, err := readUntil(response.Body, want)
	switch {
	case err != nil:
		return answer{text: text + err.Error(), code: "broken off"}
	case response.StatusCode < 300:
		return answer{text: text}
	}
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(text), &problem); err != nil || response.StatusCode != statusOfCode(problem.Code) {
		return answer{text: text, code: response.Status}
	}
	return answer{text: text, code: problem.Code}
}

// readUntil reads all there is, or until what it wants has come: a stream of events has no end.
func readUntil(r io.Reader, want string) (string, error) {
	var text strings.Builder
	piece := make([]byte, 32<<10)
	for {
		n, err := r.Read(piece)
		text.Write(piece[:n])
		switch {
		case err == io.EOF || err == nil && matches(text.String(), want) && strings.HasPrefix(text.String(), "id: "):
			return text.String(), nil
		case err != nil:
			return text.String(), err
		}
	}
}

// heard are the errors that the table may meet.
var heard = []*transfer.Error{
	transfer.ErrForbidden, transfer.ErrUnauthenticated, transfer.ErrMembershipRefused, transfer.ErrUnknownNode, transfer.ErrNoLeader, transfer.ErrBusy, transfer.ErrBankUnavailable,
}

// statusOfCode is what HTTP says of an error.
func statusOfCode(code string) int {
	for _, e := range heard {
		if string(e.Code) == code {
			_, verdict := api.Judge(e)
			return verdict.HTTP
		}
	}
	return 0
}

func (c *secureCluster) overCommands(args []string, role string, p *pass) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "quorate", append(c.flags(role, p.token), args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return answer{text: out.String()}
	case !errors.As(err, &exit):
		c.t.Fatal(err)
	}
	for _, e := range heard {
		if strings.Contains(complaint.String(), e.Meaning) && exit.ExitCode() == api.ExitCode(e) {
			return answer{text: complaint.String(), code: string(e.Code)}
		}
	}
	return answer{text: complaint.String(), code: fmt.Sprint("exit ", exit.ExitCode())}
}

var space = regexp.MustCompile(`\s+`)

// matches compares without white space: protojson changes its own on purpose.
func matches(text, want string) bool {
	return regexp.MustCompile(want).MatchString(space.ReplaceAllString(text, ""))
}

// TestEveryOperationOverEveryFace goes through the table over each face, once with certificates and once with tokens. Who isn't known, and who may not, is refused first,
// and nothing has happened then: the row comes out all the same.
func TestEveryOperationOverEveryFace(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs some hundred commands against three servers")
	}
	c := startSecureCluster(t)
	t.Run("the table is complete", func(t *testing.T) { c.complete(t) })
	for i := range passes {
		p := &passes[i]
		t.Run(p.name, func(t *testing.T) {
			c.prepare(p)
			for j := range operations {
				o := &operations[j]
				if p.callOf(o).none == "" {
					t.Run(o.name, func(t *testing.T) { c.carryOut(t, p, o) })
				}
			}
		})
	}
}

// prepare makes what the rows of a pass are about: accounts, and two holds.
func (c *secureCluster) prepare(p *pass) {
	for _, args := range []string{
		"account open north/pay-{f} --currency EUR --unlimited",
		"account open south/shop-{f} --currency EUR",
		"transfer create --id {id:captured} --from north/pay-{f} --to south/shop-{f} --amount 3 --currency EUR --hold",
		"transfer create --id {id:voided} --from north/pay-{f} --to south/shop-{f} --amount 4 --currency EUR --hold",
	} {
		c.eventually(func() error { return c.run("admin", false, strings.Fields(p.fill(args, c.dir))...) })
	}
}

func (c *secureCluster) carryOut(t *testing.T, p *pass, o *operation) {
	what := p.callOf(o)
	c.turn++
	refusals := map[string]string{"": "unauthenticated"}
	if o.mayNot != "" {
		refusals[o.mayNot] = "forbidden"
	}
	for role, want := range refusals {
		if got := c.ask(p, what, role); got.code != want {
			t.Fatalf("%q as %q: want %s, got %q\n%s", what.ask, role, want, got.code, got.text)
		}
	}
	role, want := o.may, ""
	if what.role != "" {
		role = what.role
	}
	if o.refused != nil {
		want = string(o.refused.Code)
	}
	err := pollFor(20*time.Second, func() error { // leaders move while the table moves them, and what is told to one server is heard by the others a moment later
		got := c.ask(p, what, role)
		if got.code != want {
			c.turn++
		}
		if got.code != want || want == "" && !matches(got.text, p.fill(what.want, c.dir)) {
			return fmt.Errorf("%s as %s: code %q, want %q; the answer should match %s\n%s", p.fill(what.ask, c.dir), role, got.code, want, p.fill(what.want, c.dir), got.text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
