package api_test

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/api"
)

// TestHalfACharacterIsRefused: two references that differ in it alone would be taken for one.
func TestHalfACharacterIsRefused(t *testing.T) {
	for text, half := range map[string]string{
		`"\ud83d\ude00"`:         "",
		`"\u00e4 \\ud800"`:       "",
		`"\\\\ \ud83d\ude00 \t"`: "",
		`"\ud800"`:               `\ud800`,
		`"\udfff"`:               `\udfff`,
		`"\ud800x\udc00"`:        `\ud800`,
		`"\ud83d\ud83d\ude00"`:   `\ud83d`,
		`"\\\\\ud800"`:           `\ud800`,
		`"\uD83D\uDE00\uDE00"`:   `\uDE00`,
	} {
		var into string
		err := api.UnmarshalStrict([]byte(text), &into)
		if half == "" && err != nil || half != "" && (err == nil || !strings.Contains(err.Error(), half+" is half of a character")) {
			t.Errorf("%s: %q, %v, want %q", text, into, err, half)
		}
	}
}
