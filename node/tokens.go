package node

import (
	"github.com/quorate/quorate/directory"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
)

// tokensByHash is what the faces look at for every request that shows a token.
type tokensByHash map[[32]byte]directory.Token

// followTokens keeps the tokens that the directory knows now.
func (n *Node) followTokens(tokens []directory.Token) {
	byHash := make(tokensByHash, len(tokens))
	for i := range tokens {
		byHash[tokens[i].Hash] = tokens[i]
	}
	n.tokens.Store(&byHash)
}

// Token finds an API token by the hash of its secret, as far as this node has heard. It may have ended.
func (n *Node) Token(hash [32]byte) (t directory.Token, found bool) {
	if tokens := n.tokens.Load(); tokens != nil {
		t, found = (*tokens)[hash]
	}
	return t, found
}

func tokenToProto(t *directory.Token) *peerv1.Token {
	return &peerv1.Token{Name: t.Name, Hash: t.Hash[:], Roles: t.Roles, Banks: t.Banks, Created: t.Created, Expires: t.Expires}
}

// tokenFromProto leaves a hash of another length zero: no secret has that.
func tokenFromProto(p *peerv1.Token) directory.Token {
	t := directory.Token{Name: p.GetName(), Roles: p.GetRoles(), Banks: p.GetBanks(), Created: p.GetCreated(), Expires: p.GetExpires()}
	if len(p.GetHash()) == len(t.Hash) {
		copy(t.Hash[:], p.GetHash())
	}
	return t
}
