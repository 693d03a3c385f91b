package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/quorate/quorate/replica"
)

// DecodeManifest reads a manifest's bytes.
var DecodeManifest = decodeManifest

// SealManifest adds the line with the checksum.
func SealManifest(body []byte) []byte {
	sum := sha256.Sum256(body)
	return fmt.Appendf(body[:len(body):len(body)], "sha256 %s\n", hex.EncodeToString(sum[:]))
}

// ReadFile reads a group's file.
func (g *Group) ReadFile(f io.Reader, take func([]replica.KV) error) error {
	return g.readFile(f, take)
}
