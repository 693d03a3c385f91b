package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/bank"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// errorDomain is the domain of every ErrorInfo.
const errorDomain = "quorate.dev"

const requestIDMetadata = "request-id"

type transferService struct {
	quoratev1.UnimplementedTransferServiceServer
	desk     *desk
	guard    *guard
	door     *door
	draining context.Context
}

func (s *transferService) SubmitTransfer(ctx context.Context, r *quoratev1.SubmitTransferRequest) (*quoratev1.SubmitTransferResponse, error) {
	record, err := s.desk.submit(ctx, orderOfSpec(r.GetTransfer()))
	if err != nil {
		return nil, err
	}
	s.hint(ctx)
	return &quoratev1.SubmitTransferResponse{Transfer: protoOfRecord(&record)}, nil
}

// transferServiceDesc is the generated one, but for who handles SubmitTransfers.
func transferServiceDesc() *grpc.ServiceDesc {
	desc := quoratev1.TransferService_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	i := slices.IndexFunc(desc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == "SubmitTransfers" })
	desc.Methods[i].Handler = submitTransfers
	return &desc
}

// submitTransfers has the message of SubmitTransfers read by hand, as those of a stream are: the generated handler would have generated code read it.
func submitTransfers(service any, ctx context.Context, from func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	message := &sealed{}
	if err := from(message); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, m any) (any, error) {
		return service.(*transferService).submitSealed(ctx, m.(*sealed).bytes)
	}
	if interceptor == nil {
		return handle(ctx, message)
	}
	return interceptor(ctx, message, &grpc.UnaryServerInfo{Server: service, FullMethod: quoratev1.TransferService_SubmitTransfers_FullMethodName}, handle)
}

func (s *transferService) submitSealed(ctx context.Context, message []byte) (*quoratev1.SubmitTransfersResponse, error) {
	g, err := glance(message)
	if err != nil {
		return nil, notOfMethod(err)
	}
	orders, err := ordersOf(g.specs)
	if err != nil {
		return nil, notOfMethod(err)
	}
	records, errs := s.desk.submitAll(ctx, orders)
	results := make([]*quoratev1.TransferResult, len(orders))
	parts := make([]resultParts, len(orders)) // one allocation for all
	for i := range results {
		t := g.told(i, &orders[i], records[i], errs[i])
		results[i] = t.result(&parts[i])
	}
	s.hint(ctx)
	return &quoratev1.SubmitTransfersResponse{Results: results}, nil
}

// leaderTrailer says where the leader listens, if that isn't the server which answers.
const leaderTrailer = "quorate-leader"

func (s *transferService) hint(ctx context.Context) {
	if leader := s.desk.backend.Leader(); leader != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(leaderTrailer, leader)) // fails only when the stream is gone
	}
}

func (s *transferService) CancelTransfer(ctx context.Context, r *quoratev1.CancelTransferRequest) (*quoratev1.CancelTransferResponse, error) {
	record, err := s.desk.cancelTransfer(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return &quoratev1.CancelTransferResponse{Transfer: protoOfRecord(&record)}, nil
}

func (s *transferService) GetTransfer(ctx context.Context, r *quoratev1.GetTransferRequest) (*quoratev1.GetTransferResponse, error) {
	get, stale := s.desk.transfer, false
	switch r.GetConsistency() {
	case quoratev1.Consistency_CONSISTENCY_UNSPECIFIED, quoratev1.Consistency_CONSISTENCY_LINEARIZABLE:
	case quoratev1.Consistency_CONSISTENCY_STALE:
		get, stale = s.desk.staleTransfer, true
	default: // of a newer version, which may promise more
		return nil, fmt.Errorf("%w: consistency %d", transfer.ErrInvalidRequest, r.GetConsistency())
	}
	record, err := get(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return &quoratev1.GetTransferResponse{Transfer: protoOfRecord(&record), Stale: stale}, nil
}

type accountService struct {
	quoratev1.UnimplementedAccountServiceServer
	desk *desk
}

func (s *accountService) OpenAccount(ctx context.Context, r *quoratev1.OpenAccountRequest) (*quoratev1.OpenAccountResponse, error) {
	account, err := s.desk.openAccount(ctx, transfer.BankID(r.GetBank()), bank.Terms{
		ID:             transfer.AccountID(r.GetAccount()),
		Currency:       transfer.Currency(r.GetCurrency()),
		OverdraftMinor: r.GetOverdraftMinor(),
		Unlimited:      r.GetUnlimited(),
	})
	if err != nil {
		return nil, err
	}
	return &quoratev1.OpenAccountResponse{Account: protoOfAccount(&account)}, nil
}

func (s *accountService) GetAccount(ctx context.Context, r *quoratev1.GetAccountRequest) (*quoratev1.GetAccountResponse, error) {
	account, err := s.desk.account(ctx, transfer.BankID(r.GetBank()), transfer.AccountID(r.GetAccount()))
	if err != nil {
		return nil, err
	}
	return &quoratev1.GetAccountResponse{Account: protoOfAccount(&account)}, nil
}

func (s *accountService) ListAccounts(ctx context.Context, r *quoratev1.ListAccountsRequest) (*quoratev1.ListAccountsResponse, error) {
	accounts, next, err := s.desk.accounts(ctx, transfer.BankID(r.GetBank()), int(r.GetPageSize()), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &quoratev1.ListAccountsResponse{NextPageToken: next}
	for i := range accounts {
		out.Accounts = append(out.Accounts, protoOfAccount(&accounts[i]))
	}
	return out, nil
}

func (s *accountService) ListEntries(ctx context.Context, r *quoratev1.ListEntriesRequest) (*quoratev1.ListEntriesResponse, error) {
	entries, next, err := s.desk.entries(ctx, transfer.BankID(r.GetBank()), int(r.GetPageSize()), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &quoratev1.ListEntriesResponse{Entries: protoOfEntries(entries), NextPageToken: next}, nil
}

type statusService struct {
	quoratev1.UnimplementedStatusServiceServer
	desk *desk
}

func (s *statusService) GetStatus(ctx context.Context, _ *quoratev1.GetStatusRequest) (*quoratev1.GetStatusResponse, error) {
	view, err := s.desk.status(ctx)
	if err != nil {
		return nil, err
	}
	return &quoratev1.GetStatusResponse{Status: protoOfStatus(&view)}, nil
}

func (s *statusService) AuditBank(ctx context.Context, r *quoratev1.AuditBankRequest) (*quoratev1.AuditBankResponse, error) {
	id := transfer.BankID(r.GetBank())
	audit, err := s.desk.audit(ctx, id)
	if err != nil {
		return nil, err
	}
	return &quoratev1.AuditBankResponse{Audit: protoOfAudit(id, audit)}, nil
}

// unary names the request, survives its handler's panic if the host wants so, and turns its error into a status.
func (g *guard) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	wish := metadata.ValueFromIncomingContext(ctx, requestIDMetadata)
	ctx = withRequestID(ctx, chooseRequestID(append(wish, "")[0]))
	_ = grpc.SetHeader(ctx, metadata.Pairs(requestIDMetadata, requestID(ctx))) // fails only when the stream is gone
	defer func() {
		if recovered := recover(); recovered != nil {
			answer, err = nil, g.panicked(recovered)
		}
		if err != nil && !isStatus(err) {
			g.note(ctx, info.FullMethod, err)
			err = statusOf(err, requestID(ctx))
		}
	}()
	return handle(ctx, r)
}

// stream is unary for streams. Who wants to know a stream's id reads it in the header, or in the error.
func (g *guard) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := withRequestID(s.Context(), chooseRequestID(""))
	err := handle(srv, &endingStream{s, ctx})
	if err == nil || isStatus(err) {
		return err
	}
	g.note(ctx, info.FullMethod, err)
	return statusOf(err, requestID(ctx))
}

// isStatus says that an error is one of gRPC's own services', such as health, and no error of ours.
func isStatus(err error) bool {
	var ours *transfer.Error
	_, is := status.FromError(err)
	return is && !errors.As(err, &ours)
}

// statusOf is an error as gRPC says it.
func statusOf(err error, request string) error {
	code, verdict := Judge(err)
	info := &errdetails.ErrorInfo{Reason: string(code), Domain: errorDomain, Metadata: map[string]string{
		"retryable": strconv.FormatBool(verdict.Retryable),
		"outcome":   string(verdict.Outcome),
	}}
	if id := idIn(err); id != "" {
		info.Metadata["id"] = id
	}
	details := []protoadapt.MessageV1{info, &errdetails.RequestInfo{RequestId: request}}
	if verdict.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(verdict.RetryAfter)})
	}
	plain := status.New(verdict.GRPC, message(err))
	full, broken := plain.WithDetails(details...)
	if broken != nil {
		return plain.Err()
	}
	return full.Err()
}

// stream ends a stream of gRPC's own services (health, reflection) when the server drains: they would never end by themselves. A stream of
// transfers sees to that itself.
func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.FullMethod == quoratev1.TransferService_StreamTransfers_FullMethodName {
		return handle(srv, stream)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	return handle(srv, &endingStream{stream, ctx})
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endingStream) Context() context.Context { return s.ctx }
