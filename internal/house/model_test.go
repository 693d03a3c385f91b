package house_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modelPath = "model/commit.pml"

// modelBookkeeping is the actions of the model that are nobody's in the code: they print, or forget what no longer matters.
var modelBookkeeping = []string{"sayFact", "forgetOldest", "forgetClosing"}

// The model speaks for the code as long as what it names is there.
func TestEveryActionOfTheModelNamesAFunction(t *testing.T) {
	t.Parallel()
	files := tree(t)
	report(t, checkModelNames(string(textOf(t, files, modelPath)), methodsIn(t, files)))
}

// Who reads about the protocol, who breaks the model and who reads its results must mean the same rules.
func TestEveryRuleOfTheModelIsWrittenDown(t *testing.T) {
	t.Parallel()
	files := tree(t)
	rules := modelRules(string(textOf(t, files, modelPath)))
	if len(rules) < 22 {
		t.Fatalf("only %d rules can be read from %s: %q", len(rules), modelPath, rules)
	}
	report(t, checkRulesWritten(rules, string(textOf(t, files, "docs/protocol.md")), string(textOf(t, files, "model/README.md"))))
}

func textOf(t *testing.T, files []file, name string) []byte {
	t.Helper()
	at := slices.IndexFunc(files, func(f file) bool { return f.path == name })
	if at < 0 {
		t.Fatalf("%s isn't there", name)
	}
	return files[at].text
}

// methodsIn is every "Type.method" of the rooms that the model speaks for.
func methodsIn(t *testing.T, files []file) map[string]bool {
	t.Helper()
	methods := map[string]bool{}
	for _, f := range files {
		if !f.isGo() || f.isTest() || !slices.Contains([]string{"coordinator", "coordinator/driver", "ledger", "lane"}, f.dir()) {
			continue
		}
		_, parsed, err := f.parse()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if name := methodName(d); name != "" {
				methods[name] = true
			}
		}
	}
	return methods
}

func methodName(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Recv == nil {
		return ""
	}
	receiver := f.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	name, ok := receiver.(*ast.Ident)
	if !ok {
		return ""
	}
	return name.Name + "." + f.Name.Name
}

var (
	modelComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	modelMethod  = regexp.MustCompile(`\b(?:Machine|Driver|Ledger|Lane|flight|pipeline|coordinatorHost)\.\w+`)
	modelAction  = regexp.MustCompile(`(?m)^inline (\w+)\(`)
	modelRule    = regexp.MustCompile(`(?m)^#define ([A-Z_]+) +\d+ /\* .+ \*/$`)
)

// checkModelNames wants a function in the comment above each action, and each function that is named anywhere in the code.
func checkModelNames(model string, methods map[string]bool) []string {
	var violations []string
	for _, name := range modelMethod.FindAllString(model, -1) {
		if !methods[name] {
			violations = append(violations, modelPath+" stands for "+name+", which isn't in the code")
		}
	}
	actions := modelAction.FindAllStringSubmatchIndex(model, -1)
	if len(actions) == 0 {
		violations = append(violations, modelPath+" has no action")
	}
	for _, at := range actions {
		action := model[at[2]:at[3]]
		comments := modelComment.FindAllString(model[:at[0]], -1)
		named := len(comments) > 0 && (modelMethod.MatchString(comments[len(comments)-1]) || strings.HasPrefix(comments[len(comments)-1], "/* raft:"))
		if !named && !slices.Contains(modelBookkeeping, action) {
			violations = append(violations, modelPath+": the comment above "+action+" names no function")
		}
	}
	return violations
}

// modelRules is what -DWITHOUT can leave out.
func modelRules(model string) []string {
	_, model, _ = strings.Cut(model, "/* The rules, ")
	model, _, _ = strings.Cut(model, "#ifndef WITHOUT")
	var rules []string
	for _, m := range modelRule.FindAllStringSubmatch(model, -1) {
		rules = append(rules, m[1])
	}
	return rules
}

// checkRulesWritten: docs/protocol.md says why each rule is there, and the table of mutants what comes of leaving it out.
func checkRulesWritten(rules []string, page, table string) []string {
	var violations []string
	for _, rule := range rules {
		if !strings.Contains(page, "`"+rule+"`") {
			violations = append(violations, "docs/protocol.md doesn't name "+rule+", which is a rule of the model")
		}
		if !strings.Contains(table, "| `"+rule+"` |") {
			violations = append(violations, "model/README.md doesn't say what comes of leaving out "+rule)
		}
	}
	return violations
}

func TestModelThatSpeaksForNobodyIsFound(t *testing.T) {
	t.Parallel()
	methods := map[string]bool{"Driver.ask": true}
	for model, want := range map[string]int{
		"/* Driver.ask */\ninline ask(k)\n{\n}\n":                         0,
		"/* raft: a quorum has it */\ninline choose(k)\n{\n}\n":           0,
		"inline sayFact(k)\n{\n}\n":                                       0,
		"/* Driver.ask: once */\n#define X 1\ninline ask(k)\n{\n}\n":      0,
		"/* Driver.gone */\ninline ask(k)\n{\n}\n":                        1,
		"/* Driver.ask, Driver.gone */\ninline ask(k)\n{\n}\n":            1,
		"/* every bank is asked */\ninline ask(k)\n{\n}\n":                1,
		"inline ask(k)\n{\n}\n":                                           1,
		"/* Driver.ask */\n\n/* something else */\ninline ask(k)\n{\n}\n": 1,
		"/* nothing */\n": 1,
	} {
		if got := checkModelNames(model, methods); len(got) != want {
			t.Errorf("%q: got %q, want %d", model, got, want)
		}
	}
}

func TestUnwrittenRuleIsFound(t *testing.T) {
	t.Parallel()
	model := "#define LATE 7\n/* The rules, named */\n#define NO_IS_FINAL   1 /* a bank forgets */\n#define LAST 2 /* x */\n#ifndef WITHOUT\n#define OTHER 3 /* y */\n"
	rules := modelRules(model)
	if !slices.Equal(rules, []string{"NO_IS_FINAL", "LAST"}) {
		t.Fatalf("rules: %q", rules)
	}
	if got := checkRulesWritten(rules, "**No is final** `NO_IS_FINAL`: why. `LAST`", "| `NO_IS_FINAL` | x |\n| `LAST` | y |\n"); len(got) != 0 {
		t.Errorf("all written: %q", got)
	}
	if got := checkRulesWritten(rules, "No is final. `LAST`", "| `LAST` |\n"); len(got) != 2 {
		t.Errorf("one unwritten twice: %q", got)
	}
}
