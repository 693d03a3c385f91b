package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backup"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// Exit codes that don't come from the error of a request; the others are api.ExitCode's.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitAborted     = 4 // whatever the reason: a bank without the account is no "not found" here
	exitTooLate     = 5 // a cancel that found the transfer committed: it conflicts with what has happened
	exitInterrupted = 130
)

// usageError is a command line or a configuration that can't be right. Nothing was asked of any server.
type usageError struct {
	err      error
	showHelp bool // the way to the help is worth a line
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), showHelp: true}
}

// misconfigured marks an error of a configuration file or of what it names.
func misconfigured(err error) error { return &usageError{err: err} }

// adviceError is a failure with what to do about it.
type adviceError struct {
	err error
	try string
}

func (e *adviceError) Error() string { return e.err.Error() }
func (e *adviceError) Unwrap() error { return e.err }

// ranError is an error of a command's own code. What isn't one comes from reading the command line.
type ranError struct{ err error }

func (e *ranError) Error() string { return e.err.Error() }
func (e *ranError) Unwrap() error { return e.err }

// markErrors makes every command below root tell its own errors from those of the command line.
func markErrors(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := noEmptyFlag(cmd); err != nil {
				return err
			}
			if err := run(cmd, args); err != nil {
				return &ranError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markErrors(sub)
	}
}

// noEmptyFlag refuses a flag that is given without a value. It comes from a shell's variable that isn't set, and must not become what
// leaving the flag out means: --id "$ID" would pay a second time under a new id.
func noEmptyFlag(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if err == nil && slices.Contains(values, "") {
			err = usagef("--%s is given and empty. try: a value, or leave --%s out", f.Name, f.Name)
		}
	})
	return err
}

// exitCode is what the program exits with after err.
func exitCode(ctx context.Context, err error) int {
	var ran *ranError
	var usage *usageError
	var broken invariant.Broken
	var inconsistent *inconsistentError
	var aborted *abortedError
	var tooLate *tooLateError
	var coded *transfer.Error
	switch {
	case err == nil:
		return api.ExitOK
	case !errors.As(err, &ran), errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &broken), errors.As(err, &inconsistent), errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrOutdated), errors.Is(err, backup.ErrDamaged):
		return api.ExitBroken
	case errors.As(err, &aborted):
		return exitAborted
	case errors.As(err, &tooLate):
		return exitTooLate
	case ctx.Err() != nil:
		return exitInterrupted
	case !errors.As(err, &coded) && !errors.Is(err, context.DeadlineExceeded):
		return exitFailed
	}
	return api.ExitCode(err)
}

// errInterrupted ends what goes on until it is interrupted: there is nothing to explain.
var errInterrupted = errors.New("interrupted")

// explain writes an error as people read it: what, why, and what to try.
func explain(w io.Writer, cmd *cobra.Command, err error) {
	if errors.Is(err, errInterrupted) {
		return
	}
	what, why, try := withoutNoise(err.Error()), "", ""
	if kind := refusedDirectory(err); kind != nil {
		what, why, try = splitRefusal(what, kind.Error())
	}
	var advice *adviceError
	late := lateNotAway(cmd, err)
	if late {
		what = strings.Replace(what, sayUnreached, sayLate, 1)
	}
	switch {
	case try != "":
	case errors.As(err, &advice):
		try = advice.try
	case late:
		try = "quorate status (it says who leads, and who doesn't answer)"
	default:
		try = adviceFor(cmd, err)
	}
	text := "error: " + strings.TrimSuffix(what, ".")
	if why != "" {
		text += ". why: " + why
	}
	if try != "" && !strings.Contains(what, ". try: ") {
		text += ". try: " + try
	}
	fmt.Fprintln(w, printable(text))
}

// grpcNoise is what gRPC wraps around the reason of a failed connection.
var grpcNoise = regexp.MustCompile(`connection error: desc = "(?:transport: Error while dialing: |transport: authentication handshake failed: )?((?:[^"\\]|\\.)*)"`)

// x509Noise is what the x509 package guesses when it doesn't know an authority.
var x509Noise = regexp.MustCompile(` \(possibly because of .* candidate authority certificate "[^"]*"\)`)

func withoutNoise(text string) string {
	text = grpcNoise.ReplaceAllStringFunc(text, func(noise string) string {
		return strings.ReplaceAll(grpcNoise.FindStringSubmatch(noise)[1], `\"`, `"`)
	})
	text = x509Noise.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, " while waiting for connections to become ready", "")
	text = strings.ReplaceAll(text, ": "+context.DeadlineExceeded.Error(), "")
	return strings.ReplaceAll(text, ": "+context.Canceled.Error(), "")
}

// refusedDirectory is the storage's reason to refuse a data directory; nil for every other error.
func refusedDirectory(err error) error {
	for _, kind := range []error{storage.ErrWrongNode, storage.ErrWrongCluster, storage.ErrWrongFounding, storage.ErrNewerFormat, storage.ErrForeign, storage.ErrOutdated, storage.ErrRestoring, storage.ErrInUse} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// splitRefusal takes a refusal of the storage apart: "kind: directory: why; what to do".
func splitRefusal(text, kind string) (what, why, try string) {
	text, try, _ = strings.Cut(text, "; ")
	_, rest, _ := strings.Cut(text, kind+": ")
	dir, why, _ := strings.Cut(rest, ": ")
	return kind + ": " + dir, why, try
}

// adviceFor knows what to do about kinds of errors, where the error doesn't say so itself.
func adviceFor(cmd *cobra.Command, err error) string {
	var ran *ranError
	var usage *usageError
	var coded *transfer.Error
	switch {
	case !errors.As(err, &ran), errors.As(err, &usage) && usage.showHelp:
		return cmd.CommandPath() + " --help"
	case usage != nil:
		return ""
	case adviceForTLS(err.Error()) != "":
		return adviceForTLS(err.Error())
	case errors.Is(err, transfer.ErrUnknownBank):
		return "quorate status (it lists the banks)"
	case !errors.As(err, &coded):
		return ""
	case errors.Is(err, client.ErrUnreachable):
		return "--server with the address of a running node, or start one: quorate server --config node1.yaml"
	case errors.Is(err, transfer.ErrDiskFull): // waiting frees nothing
		return "free space where quorate status says full (column DISK); nothing needs a restart then"
	case coded.Kind == transfer.KindUnavailable, coded.Kind == transfer.KindExhausted:
		return "the same again in a moment"
	}
	return ""
}
