package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/transfer"
)

// FuzzRequest wants an answer of ours to any request of HTTP, whatever its path, query, headers and body: never 5xx, and nothing
// invalid at the backend.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/transfers", "", oneTransfer, "", "a")
	f.Add("GET", "/v1/banks/HOME/accounts", "page_size=5&cursor=YQ", "", "", "")
	f.Add("GET", "/v1/banks/HOME/accounts/alice/entries", "since=2026-01-01T00:00:00Z&until=x", "", "", "")
	f.Add("POST", "/v1/transfers/"+idText+":capture", "", `{"amounts_minor":["1","2"]}`, "application/json", "")
	f.Add("POST", "/v1/banks/HOME/accounts/a:b:freeze", "", "{}", "text/plain", "gzip")
	f.Add("POST", "/v1/cluster:addMember", "", `{"node":4,"peer":"h:1"}`, "", "\x7f")
	f.Add("POST", "/v1/tokens", "", `{"name":"a","roles":["read"],"expires_at":"2027-01-01T00:00:00Z"}`, "", "")
	f.Add("DELETE", "/v1//transfers/../%2e%2e/x", "a=%zz", "", "", "")
	fake := newFake()
	handler, stop := api.HandlerForTest(api.Config{Log: slog.New(slog.DiscardHandler)}, fake)
	f.Cleanup(stop)
	f.Fuzz(func(t *testing.T, method, path, query, body, kind, coding string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(method, " \r\n") || method == "" {
			return // net/http lets none through
		}
		r := httptest.NewRequest(http.MethodGet, "http://h/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		for name, value := range map[string]string{"Content-Type": kind, "Content-Encoding": coding, "Request-Id": coding, "Idempotency-Key": kind} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, r)
		answer, _ := io.ReadAll(out.Body)
		plain := path == "/livez" || path == "/readyz" || out.Code == http.StatusNoContent || out.Code/100 == 3
		if out.Code >= 500 || !plain && method != http.MethodHead && !json.Valid(answer) {
			t.Fatalf("%d %s", out.Code, answer)
		}
		checkSeen(t, fake)
	})
}

// handlers keeps what registers itself.
type handlers struct {
	methods []grpc.MethodDesc
	service []any
	paths   []string
}

func (h *handlers) RegisterService(desc *grpc.ServiceDesc, service any) {
	for _, m := range desc.Methods {
		h.methods, h.service, h.paths = append(h.methods, m), append(h.service, service), append(h.paths, "/"+desc.ServiceName+"/"+m.MethodName)
	}
}

// FuzzMessages gives any bytes to any method of gRPC. What can be read is answered, or refused with a code that is no fault of ours.
func FuzzMessages(f *testing.F) {
	fake := newFake()
	var all handlers
	api.ServicesForTest(&all, api.Config{Log: slog.New(slog.DiscardHandler), Admin: &fakeAdmin{}}, fake)
	for i := range all.methods {
		f.Add(uint8(i), []byte("\n\x04HOME\x12\x05alice"))
		f.Add(uint8(i), []byte("\n\x24"+idText+"\x10\x09"))
		f.Add(uint8(i), []byte("\x08\x04\x12\x03h:1"))
		f.Add(uint8(i), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, wire []byte) {
		i := int(which) % len(all.methods)
		readable := true
		read := func(m any) error {
			err := api.UnmarshalForTest(wire, m)
			readable = err == nil
			return err
		}
		ctx := metadata.NewIncomingContext(context.Background(), metadata.MD{})
		answer, err := all.methods[i].Handler(all.service[i], ctx, read, nil)
		if !readable {
			return
		}
		if err == nil {
			if _, err := proto.Marshal(answer.(proto.Message)); err != nil {
				t.Fatalf("%s: the answer can't be written: %v", all.paths[i], err)
			}
			checkSeen(t, fake)
			return
		}
		if code, verdict := api.Judge(err); verdict.Outcome != api.NotApplied || code == transfer.ErrInternal.Code {
			t.Fatalf("%s %x: %v", all.paths[i], wire, err)
		}
		checkSeen(t, fake)
	})
}

// FuzzWords: a page's token is that of its key or is refused, a key stands for one id, and a request's name can be printed.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"", api.TokenOf("alice"), api.TokenOfSeq(41), `"a\"b"`, `"`, "wait=5, respond-async", "wait=-1", idText} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if account, err := api.AccountOfToken(text); err == nil && text != "" && api.TokenOf(string(account)) != text {
			t.Fatalf("token %q is %q, whose token is %q", text, account, api.TokenOf(string(account)))
		}
		if seq, err := api.SeqOfToken(text); err == nil && text != "" {
			if again, err := api.SeqOfToken(api.TokenOfSeq(seq)); err != nil || again != seq {
				t.Fatalf("token %q is %d, and that comes back as %d, %v", text, seq, again, err)
			}
		}
		if key, err := api.UnquoteKey(text); err == nil {
			if id, err := api.IDOfKey(key); err == nil && (id.IsZero() || len(key) > 255) {
				t.Fatalf("key %q stands for %s", key, id)
			}
		}
		if wait, asked := api.PreferredWait(text); asked && wait < 0 {
			t.Fatalf("%q waits %v", text, wait)
		}
		for _, c := range []byte(api.ChooseID(text)) {
			if c <= ' ' || c > '~' || c == '"' {
				t.Fatalf("%q names a request %q", text, api.ChooseID(text))
			}
		}
	})
}
