package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

const peerService = "/quorate.peer.v1.PeerService/"

// methodsOfOurs are all that our services have, by path. A new one is here without being told.
func methodsOfOurs() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "quorate.") {
			return true
		}
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				all[fmt.Sprintf("/%s/%s", f.Services().Get(i).FullName(), methods.Get(j).Name())] = methods.Get(j)
			}
		}
		return true
	})
	return all
}

// wireClient sends what a client of gRPC never would.
type wireClient struct {
	*attacked
	http    *http.Transport
	methods map[string]protoreflect.MethodDescriptor
}

func newWireClient(t *testing.T, a *attacked) *wireClient {
	plain := &http.Transport{Protocols: &http.Protocols{}}
	plain.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(plain.CloseIdleConnections)
	return &wireClient{a, plain, methodsOfOurs()}
}

// TestMalformedRequestsOverGRPCChangeNothing sends a real node every line of the corpus:
//
//	METHOD json|wire|frame [header: value]… BODY => CODE reason [codes of results]
//
// A method * is every one of ours. json is a message in the JSON of protobuf; wire is the bytes of one; frame is all that is sent, with what gRPC puts around a message. The
// header port: peer sends it to the port where nodes speak. A reason - is a refusal of the library's, or of the transport between nodes, which
// have no ErrorInfo.
func TestMalformedRequestsOverGRPCChangeNothing(t *testing.T) {
	const file = "testdata/malformed/grpc.txt"
	a := startAttacked(t)
	w := newWireClient(t, a)
	lines, cases := readCorpus(t, file)
	goroutines, heap := runtime.NumGoroutine(), heapBytes()
	answers, asked := make([]string, len(cases)), map[string]bool{}
	for i := range cases {
		c := &cases[i]
		asked[c.method] = true
		if c.method != "*" {
			answers[i] = w.send(t, c, c.method)
			continue
		}
		for path := range w.methods {
			answer := w.send(t, c, path)
			if strings.HasPrefix(path, peerService) {
				continue // has a service of its own
			}
			if answers[i] == "" {
				answers[i] = answer
			}
			if answer != answers[i] {
				t.Errorf("line %d: %s answers %s, others %s", c.line+1, path, answer, answers[i])
			}
		}
	}
	compare(t, file, lines, cases, answers)
	for path := range w.methods {
		if !asked[path] {
			t.Errorf("%s has no line of its own in %s", path, file)
		}
	}
	w.http.CloseIdleConnections()
	untilYes(t, func() (string, bool) {
		now := runtime.NumGoroutine()
		return fmt.Sprintf("%d goroutines, %d before", now, goroutines), now <= goroutines+8
	})
	if now := heapBytes(); now > heap+64<<20 {
		t.Errorf("the heap has %d bytes, and had %d", now, heap)
	}
	a.unharmed(t)
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// untilYes asks until the answer is yes.
func untilYes(t *testing.T, ask func() (is string, yes bool)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		is, yes := ask()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(is)
		}
		runtime.Gosched()
	}
}

// bodyOf is what is sent.
func (w *wireClient) bodyOf(t *testing.T, c *malformed, path string) []byte {
	t.Helper()
	switch c.path {
	case "frame":
		return []byte(c.body)
	case "wire":
		return framed([]byte(c.body))
	case "json":
		m := dynamicpb.NewMessage(w.methods[path].Input())
		if err := protojson.Unmarshal([]byte(c.body), m); err != nil {
			t.Fatalf("line %d: %v", c.line+1, err)
		}
		wire, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
		if err != nil {
			t.Fatalf("line %d: %v", c.line+1, err)
		}
		return framed(wire)
	}
	t.Fatalf("line %d: %q is neither json, wire nor frame", c.line+1, c.path)
	return nil
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

func (w *wireClient) send(t *testing.T, c *malformed, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	header := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	at := w.self.GRPC
	if strings.HasPrefix(path, peerService) {
		at = w.self.Peer
	}
	for line := range strings.Lines(c.headers) {
		switch name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); {
		case found && name == "port":
			at = map[string]string{"peer": w.self.Peer, "grpc": w.self.GRPC}[value]
		case found:
			header.Set(name, value)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at+path, bytes.NewReader(w.bodyOf(t, c, path)))
	if err != nil {
		t.Fatalf("line %d: %v", c.line+1, err)
	}
	r.Header = header
	response, err := w.http.RoundTrip(r)
	if err != nil {
		return "broken off"
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "broken off"
	}
	if response.Header.Get("Grpc-Status") == "" { // it was no answer of headers alone
		response.Header = response.Trailer
	}
	return w.judge(t, c, path, response.Header, body)
}

// judge reads what a client is told, and that it is told nothing else.
func (w *wireClient) judge(t *testing.T, c *malformed, path string, trailer http.Header, body []byte) string {
	t.Helper()
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		t.Errorf("line %d: %s: status %q", c.line+1, c.text, trailer.Get("Grpc-Status"))
	}
	text := trailer.Get("Grpc-Message")
	if len(text) > 4096 {
		t.Errorf("line %d: the message has %d bytes", c.line+1, len(text))
	}
	for _, leak := range []string{"goroutine ", ".go:", "panic", "github.com/", w.node.Config().DataDir} {
		if strings.Contains(text, leak) {
			t.Errorf("line %d: %s tells of our inside: %s", c.line+1, c.text, text)
		}
	}
	if codes.Code(code) == codes.OK {
		return "OK " + w.results(t, c, path, body)
	}
	reason, outcome, request := "-", "", ""
	details, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(trailer.Get("Grpc-Status-Details-Bin"), "="))
	var s rpc.Status
	if err != nil || proto.Unmarshal(details, &s) != nil {
		t.Errorf("line %d: %s: details %q", c.line+1, c.text, trailer.Get("Grpc-Status-Details-Bin"))
	}
	for _, detail := range s.GetDetails() {
		m, _ := detail.UnmarshalNew()
		switch d := m.(type) {
		case *errdetails.ErrorInfo:
			reason, outcome = d.GetReason(), d.GetMetadata()["outcome"]
		case *errdetails.RequestInfo:
			request = d.GetRequestId()
		}
	}
	if reason != "-" && (outcome != "not_applied" || request == "" || slices.Contains([]codes.Code{codes.Internal, codes.Unknown}, codes.Code(code))) {
		t.Errorf("line %d: %s: %s %s, outcome %q, request %q: %s", c.line+1, c.text, codes.Code(code), reason, outcome, request, text)
	}
	if reason == "-" && c.path == "json" && !strings.Contains(c.headers, "port: peer") {
		t.Errorf("line %d: %s: %s has no ErrorInfo: %s", c.line+1, c.text, codes.Code(code), text)
	}
	return fmt.Sprint(codes.Code(code), " ", reason)
}

// results are the codes of what a batch or a stream says of each transfer. None may be one that was carried out.
func (w *wireClient) results(t *testing.T, c *malformed, path string, body []byte) string {
	t.Helper()
	var all []string
	for len(body) >= 5 {
		n := int(binary.BigEndian.Uint32(body[1:]))
		message := body[5 : 5+n]
		body = body[5+n:]
		var m quoratev1.StreamTransfersResponse // a batch's answer has the same first field
		if !strings.HasSuffix(path, "Transfers") || proto.Unmarshal(message, &m) != nil {
			t.Errorf("line %d: %s was carried out", c.line+1, c.text)
			continue
		}
		for _, r := range m.GetResults() {
			if r.GetTransfer() != nil || r.GetError().GetOutcome() != quoratev1.Outcome_OUTCOME_NOT_APPLIED {
				t.Errorf("line %d: %s: %v", c.line+1, c.text, r)
			}
			all = append(all, r.GetError().GetCode())
		}
	}
	return fmt.Sprint(all)
}
