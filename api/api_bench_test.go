package api_test

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// instant is a Backend that commits everything and remembers nothing.
type instant struct{ *fake }

func (instant) Submit(_ context.Context, transfers []transfer.Transfer) ([]transfer.Record, []error) {
	records := make([]transfer.Record, len(transfers))
	for i, t := range transfers {
		records[i] = committed(t)
	}
	return records, make([]error, len(transfers))
}

func benchmarkSubmit(b *testing.B, batch int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server, err := api.Serve(api.Config{GRPC: l, Log: slog.New(slog.DiscardHandler)}, instant{newFake()})
	if err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), grpc.WithNoProxy())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(); _ = server.Stop(context.Background()) })
	request := &quoratev1.SubmitTransfersRequest{OmitContent: true}
	for range batch {
		request.Transfers = append(request.Transfers, spec(idText))
	}
	submit := quoratev1.NewTransferServiceClient(conn).SubmitTransfers
	b.ReportAllocs()
	for b.Loop() {
		if _, err := submit(context.Background(), request); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/transfer")
}

// Both ends of the connection and the translation, without anything behind it: what the face costs.
func BenchmarkSubmitOne(b *testing.B)  { benchmarkSubmit(b, 1) }
func BenchmarkSubmit512(b *testing.B)  { benchmarkSubmit(b, 512) }
func BenchmarkSubmit8190(b *testing.B) { benchmarkSubmit(b, api.BatchMax) }
