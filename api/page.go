package api

import (
	"encoding/base64"
	"fmt"
	"strconv"

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

// A token is the last key of its page in base64: opaque to clients, so that it may change.
func tokenOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func keyOf(token string) (string, error) {
	key, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || tokenOf(string(key)) != token { // the decoder passes over line breaks
		return "", badToken(token)
	}
	return string(key), nil
}

func badToken(token string) error {
	return fmt.Errorf("%w: %q is not a page token of this list", transfer.ErrInvalidRequest, clip(token))
}

func accountOfToken(token string) (transfer.AccountID, error) {
	if token == "" {
		return "", nil
	}
	key, err := keyOf(token)
	if err != nil {
		return "", err
	}
	if transfer.ValidateName(key) != nil {
		return "", badToken(token)
	}
	return transfer.AccountID(key), nil
}

func tokenOfSeq(seq uint64) string { return tokenOf(strconv.FormatUint(seq, 10)) }

func seqOfToken(token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	key, err := keyOf(token)
	if err != nil {
		return 0, err
	}
	seq, err := strconv.ParseUint(key, 10, 64)
	if err != nil {
		return 0, badToken(token)
	}
	return seq, nil
}
