package main

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// notOperations are the commands that ask no server for anything, or do several operations at a time that the table has as rows of their own.
var notOperations = []string{
	"demo", "bench", "sim", "server", "version", "storage inspect", "config init", "config check", "cert create-ca", "cert create-node", "cert create-client",
	"context add", "context use", "context list", "context remove", "backup verify", "backup restore",
	"transfer export", // listTransfers, into a file
}

// complete holds the table against what the servers offer: an operation without a row fails it, and so does a row without a face that nobody has given a
// reason for, or that has the face after all.
func (c *secureCluster) complete(t *testing.T) {
	methods, paths, commands := c.methods(t), c.paths(t), commandsOf(newRoot(), "")
	for _, name := range notOperations {
		if !commands[name] {
			t.Errorf("the command %q isn't there", name)
		}
		delete(commands, name)
	}
	offered := maps.Clone(commands)
	for i := range operations {
		o := &operations[i]
		if !slices.ContainsFunc(slices.Collect(maps.Keys(offered)), func(name string) bool { return strings.HasPrefix(o.cli.ask+" ", name+" ") }) {
			t.Errorf("%s: the table runs quorate %s, and there is no such command", o.name, o.cli.ask)
		}
		for face, what := range map[string]*call{"grpc": &o.grpc, "rest": &o.rest, "cli": &o.cli} {
			if (what.ask == "") == (what.none == "") {
				t.Errorf("%s has neither a call over %s nor a reason why not, or both", o.name, face)
			}
		}
		method, _, _ := strings.Cut(o.grpc.ask, " ")
		if o.grpc.ask != "" && methods[o.name] != method {
			t.Errorf("%s: the table calls %q over gRPC, and the servers have %q", o.name, method, methods[o.name])
		}
		if path := paths[o.name]; (path == nil) != (o.rest.ask == "") || path != nil && !path.MatchString(o.rest.ask) {
			t.Errorf("%s: the table asks %q over HTTP, and the servers have %v", o.name, o.rest.ask, path)
		}
		delete(methods, o.name)
		delete(paths, o.name)
		for name := range commands {
			if strings.HasPrefix(o.cli.ask+" ", name+" ") {
				delete(commands, name)
			}
		}
	}
	for _, left := range slices.Sorted(maps.Keys(methods)) {
		t.Errorf("%s is a method of gRPC and has no row", left)
	}
	for _, left := range slices.Sorted(maps.Keys(paths)) {
		t.Errorf("%s is an operation of the OpenAPI document and has no row", left)
	}
	for _, left := range slices.Sorted(maps.Keys(commands)) {
		t.Errorf("quorate %s is in no row", left)
	}
}

// methods are those of our services that a server has registered, as its reflection tells: Service/Method by the name of the operation.
func (c *secureCluster) methods(t *testing.T) map[string]string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(c.connect("admin", &passes[0])).ServerReflectionInfo(ctx)
	if err == nil {
		err = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	response, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]string{}
	for _, s := range response.GetListServicesResponse().GetService() {
		if !strings.HasPrefix(s.GetName(), "quorate.") {
			continue
		}
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s.GetName()))
		service, is := found.(protoreflect.ServiceDescriptor)
		if err != nil || !is {
			t.Fatalf("%s is no service: %v", s.GetName(), err)
		}
		for i := range service.Methods().Len() {
			name := string(service.Methods().Get(i).Name())
			methods[strings.ToLower(name[:1])+name[1:]] = s.GetName() + "/" + name
		}
	}
	if len(methods) < 30 {
		t.Fatalf("a server has only %d methods: %v", len(methods), methods)
	}
	return methods
}

var pathVariable = regexp.MustCompile(`\\\{\w+\\\}`)

// paths are the operations of the OpenAPI document that a server shows: what a row may ask, by the name of the operation.
func (c *secureCluster) paths(t *testing.T) map[string]*regexp.Regexp {
	got := c.overHTTP("GET /openapi.json", "", "admin", &passes[2])
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal([]byte(got.text), &document); err != nil || got.code != "" {
		t.Fatalf("the OpenAPI document: %v, %s", err, got.code)
	}
	paths := map[string]*regexp.Regexp{}
	for path, byMethod := range document.Paths {
		for method, o := range byMethod {
			pattern := pathVariable.ReplaceAllString(regexp.QuoteMeta(path), `[^/: ?]+(:\w+\})?`)
			paths[o.OperationID] = regexp.MustCompile("^" + strings.ToUpper(method) + " " + pattern + `([? ]|$)`)
		}
	}
	if len(paths) < 25 {
		t.Fatalf("the OpenAPI document has only %d operations", len(paths))
	}
	return paths
}

// commandsOf are the commands that do something, by their words.
func commandsOf(cmd *cobra.Command, words string) map[string]bool {
	all := map[string]bool{}
	for _, sub := range cmd.Commands() {
		name := strings.TrimSpace(words + " " + sub.Name())
		if len(sub.Commands()) == 0 {
			all[name] = true
		}
		maps.Copy(all, commandsOf(sub, name))
	}
	return all
}
