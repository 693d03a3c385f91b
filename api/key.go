package api

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/transfer"
)

const keyBytesMax = 255

// IDOfKey is the transfer id that an Idempotency-Key stands for. A UUID is the id itself. Any other
// string of at most 255 bytes is hashed: the first 128 bits of the SHA-256 of "quorate idempotency key\n"
// and the key, marked as a UUIDv8 (RFC 9562 §5.8). So the same key means the same transfer on
// every node and for ever, and a client may compute the id itself.
func IDOfKey(key string) (transfer.ID, error) {
	if id, err := transfer.ParseID(key); err == nil {
		return id, nil
	}
	if key == "" || len(key) > keyBytesMax {
		return transfer.ID{}, fmt.Errorf("%w: an Idempotency-Key of %d bytes, need 1 to %d", transfer.ErrInvalidRequest, len(key), keyBytesMax)
	}
	sum := sha256.Sum256([]byte("quorate idempotency key\n" + key))
	id := transfer.ID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id, nil
}

// unquoteKey reads the header's value: a quoted string, as the draft has it, or a bare one, as people send it.
func unquoteKey(header string) (string, error) {
	body, opened := strings.CutPrefix(header, `"`)
	if !opened {
		return header, nil
	}
	body, closed := strings.CutSuffix(body, `"`)
	if !closed {
		return "", fmt.Errorf("%w: the Idempotency-Key has one quote", transfer.ErrInvalidRequest)
	}
	var key strings.Builder
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == '"':
			return "", fmt.Errorf("%w: the Idempotency-Key has a quote inside", transfer.ErrInvalidRequest)
		case body[i] == '\\' && i+1 < len(body) && (body[i+1] == '"' || body[i+1] == '\\'):
			i++
		case body[i] == '\\':
			return "", fmt.Errorf("%w: the Idempotency-Key has a stray backslash", transfer.ErrInvalidRequest)
		}
		key.WriteByte(body[i])
	}
	return key.String(), nil
}

// preferredWait finds wait=N, in seconds, among the preferences of RFC 7240. What it can't read is ignored, as the RFC asks.
func preferredWait(header string) (wait time.Duration, asked bool) {
	for _, preference := range strings.Split(header, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0, false
		}
		return min(time.Duration(seconds)*time.Second, TimeoutMost+waitGrace), true
	}
	return 0, false
}
