package api

import "github.com/danielgtaylor/huma/v2"

const (
	aboutAll = "Moves money across independent banks: at all of them or at none. Amounts are minor units in strings of digits. " +
		"Beside these operations there are GET /livez and GET /readyz, in plain text and for everybody, and GET /metrics in Prometheus's format."
	tooLate = "What became of it may be something else than was asked for, with the same 200: look at the state."
)

// document has the OpenAPI document say what can't be seen from the operations.
func document(api huma.API) {
	paths := api.OpenAPI().Paths
	submit := paths["/v1/transfers"].Post
	pending := *submit.Responses["201"]
	pending.Description = "Accepted: with Prefer: wait, and the outcome wasn't known by then."
	submit.Responses["202"] = &pending
	for _, verb := range []string{"cancel", "capture", "void"} {
		paths["/v1/transfers/{id}:"+verb].Post.Description = tooLate
	}
}
