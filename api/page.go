package api

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/quorate/quorate/transfer"
)

// Bounds of a page.
const (
	PageMax     = 1000
	pageDefault = 100
)

// pageSize is what a client gets who asks for n: more than PageMax is PageMax, zero is the default.
func pageSize(n int) (int, error) {
	switch {
	case n < 0:
		return 0, fmt.Errorf("%w: a page of %d", transfer.ErrInvalidRequest, n)
	case n == 0:
		return pageDefault, nil
	}
	return min(n, PageMax), nil
}

// A token is the last key of its page in base64, behind what it is a token of: opaque to clients, so that it may change. No name of an account has a slash: a
// token of a release without the kinds is refused, and not read as something else.
const (
	ofAccounts  = "a/"
	ofEntries   = "e/"
	ofStatement = "s/"
	ofTransfers = "t/"
)

func tokenOf(kind, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + key))
}

func keyOf(kind, token string) (string, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	key, is := strings.CutPrefix(string(text), kind)
	if err != nil || !is || tokenOf(kind, key) != token { // the decoder passes over line breaks
		return "", badToken(token)
	}
	return key, nil
}

func badToken(token string) error {
	return fmt.Errorf("%w: %q is not a page token of this list; begin again without one", transfer.ErrInvalidRequest, clip(token))
}

func accountOfToken(token string) (transfer.AccountID, error) {
	if token == "" {
		return "", nil
	}
	key, err := keyOf(ofAccounts, token)
	if err != nil {
		return "", err
	}
	if transfer.ValidateName(key) != nil {
		return "", badToken(token)
	}
	return transfer.AccountID(key), nil
}

func tokenOfSeq(kind string, seq uint64) string { return tokenOf(kind, strconv.FormatUint(seq, 10)) }

func seqOfToken(kind, token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	key, err := keyOf(kind, token)
	if err != nil {
		return 0, err
	}
	seq, err := strconv.ParseUint(key, 10, 64)
	if err != nil || seq == math.MaxUint64 { // there is nothing behind it, not even a number
		return 0, badToken(token)
	}
	return seq, nil
}
