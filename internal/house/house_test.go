package house_test

import (
	"testing"
)

// importOrder is the drawing of the rooms, as text. "a < b": b may import a, and everything a may import.
// What stands above the waterline is dry, what stands below is wet.
const importOrder = `
# "a < b": b may import a, and everything a may import.  Third parties are named where they are allowed.
NONE                                              < transfer, internal/invariant, internal/mutant, internal/room, proto;
internal/mutant                                   < raft/quorum;
proto, transfer                                   < internal/wire;      # the runtime's primitives only
raft/quorum                                       < raft/progress < raft/membership;
raft/membership, internal/invariant, internal/room < raft;
raft, cockroachdb/datadriven                      < raft/rafttest;
raft, go.etcd.io/raft/v3                          < raft/etcdraft;
transfer                                          < bank;
transfer, internal/invariant, internal/mutant, internal/room, internal/wire < coordinator;
coordinator, bank                                 < coordinator/driver;
bank, internal/invariant, internal/mutant, internal/room, internal/wire < ledger;
raft, transfer, internal/invariant, proto         < directory;          # proto in encode.go only
raft, internal/invariant, internal/room           < replica;            # knows neither ledger nor coordinator
replica, directory, coordinator/driver, ledger    < lane;
bank                                              < sim/workload;
transfer, porcupine                               < internal/linear;    # models of histories, for whoever has watched some
lane, raft/etcdraft, sim/workload, internal/linear < sim;
# All rooms listed ABOVE this line are dry: no import of os, net, sync, log, context; no go statement; no time.Now/Since/Sleep/After/NewTimer
# (Time and Duration are fine); no top-level math/rand functions (a rand.New over a seed that was passed in is fine).
# ------------------------------------------ waterline ------------------------------------------
golang.org/x/sys                                  < internal/timerslack; # prctl and exec
raft, pebble                                      < storage;
replica, storage                                  < backup;
transfer                                          < pki;
raft, proto, grpc, pki, golang.org/x/net          < transport;           # x/net bounds the connections of its listener
bank, proto, grpc                                 < bank/remote;
bank, pgx                                         < bank/postgres;
bank                                              < bank/banktest;      # calls live banks: wet
lane, raft/etcdraft, storage, transport, prometheus < node;
transfer, bank, internal/wire, proto, grpc, huma, pki, uuid, prometheus, golang.org/x/net, golang.org/x/time < api; # not node: it declares the interface it needs
node, api                                         < backend;            # answers the faces by asking a node
transfer, proto, grpc, pki, uuid                  < client;             # what it needs, users' programs get: as little as can be
client, otel                                      < client/clientotel;
backend, client                                   < quoratetest;        # a whole cluster, for the tests of users' programs
node, sim, api, backend, client, backup, console, bank/remote, bank/banktest, internal/timerslack,
  cobra, koanf, hdrhistogram, golang.org/x/term   < cmd/quorate;
client, internal/linear, golang.org/x/sys         < test/chaos;         # breaks real processes: it knows what a client, an operator and the kernel know
`

// thirdParties says which import paths a name of the order stands for. A room that may import "proto" may
// import our generated packages and the runtime they need.
var thirdParties = map[string][]string{
	"proto":                  {"google.golang.org/protobuf"},
	"grpc":                   {"google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc"},
	"pebble":                 {"github.com/cockroachdb/pebble/v2"},
	"pgx":                    {"github.com/jackc/pgx/v5"},
	"huma":                   {"github.com/danielgtaylor/huma/v2"},
	"cockroachdb/datadriven": {"github.com/cockroachdb/datadriven"},
	"go.etcd.io/raft/v3":     {"go.etcd.io/raft/v3"},
	"cobra":                  {"github.com/spf13/cobra", "github.com/spf13/pflag"},
	"koanf":                  {"github.com/knadh/koanf"},
	"uuid":                   {"github.com/gofrs/uuid/v5"},
	"prometheus":             {"github.com/prometheus/client_golang"},
	"otel":                   {"go.opentelemetry.io/otel"},
	"hdrhistogram":           {"github.com/HdrHistogram/hdrhistogram-go"},
	"golang.org/x/term":      {"golang.org/x/term"},
	"golang.org/x/sys":       {"golang.org/x/sys"},
	"porcupine":              {"github.com/anishathalye/porcupine"},
	"golang.org/x/time":      {"golang.org/x/time/rate"},
	"golang.org/x/net":       {"golang.org/x/net/netutil"},
}

// longFiles are the Go files over linesMax, each with the reason why it is one topic all the same.
var longFiles = map[string]string{}

func TestRoomsImportOnlyWhatTheOrderAllows(t *testing.T) {
	t.Parallel()
	report(t, mustParseOrder(t).checkImports(listPackages(t)))
}

func TestDryRoomsTouchNothing(t *testing.T) {
	t.Parallel()
	order := mustParseOrder(t)
	for _, f := range goFiles(t) {
		if order.dry[order.roomOf(f.dir())] && !f.isTest() {
			report(t, checkDry(f))
		}
	}
}

func TestOnlyEncodeKnowsTheWireTypes(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if (f.dir() == "coordinator" || f.dir() == "ledger" || f.dir() == "directory") && !f.isTest() {
			report(t, checkProtoOnlyInEncode(f))
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	report(t, checkPackageComments(goFiles(t)))
}

func TestEveryGoFileIsShortEnoughToRead(t *testing.T) {
	t.Parallel()
	report(t, checkLengths(goFiles(t), longFiles))
}

func TestNothingIsLeftForLater(t *testing.T) {
	t.Parallel()
	for _, f := range tree(t) {
		if f.isCode() && !f.isHouse() {
			report(t, checkUnfinished(f))
		}
	}
}

func TestEveryPlayThatCodeNamesExists(t *testing.T) {
	t.Parallel()
	files := tree(t)
	for _, f := range goFiles(t) {
		if !f.isHouse() {
			report(t, checkPlays(f, files))
		}
	}
}

func TestNoPackageIsADrawerForAnything(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		report(t, checkPackageName(f))
	}
}

func TestNoFileNamesAPathOfOneMachine(t *testing.T) {
	t.Parallel()
	for _, f := range tree(t) {
		if !f.isHouse() {
			report(t, checkMachinePaths(f))
		}
	}
}

func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}

func mustParseOrder(t *testing.T) *order {
	t.Helper()
	o, err := parseOrder(importOrder, thirdParties)
	if err != nil {
		t.Fatalf("the order text: %v", err)
	}
	return o
}
