package judges

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// recipe returns the configuration of a product as README.md or RECIPES.md shows it, with its example
// values replaced. Every value must be there.
func recipe(t *testing.T, product string, values map[string]string) string {
	t.Helper()
	var documents []byte
	for _, name := range []string{"../README.md", "../RECIPES.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, text...)
	}
	found := regexp.MustCompile("(?s)<!-- recipe: " + product + " -->\n```[a-z]*\n(.*?)```").FindSubmatch(documents)
	if found == nil {
		t.Fatalf("the documents have no recipe of %s", product)
	}
	text := string(found[1])
	for example, value := range values {
		if !strings.Contains(text, example) {
			t.Fatalf("the recipe of %s does not contain %s", product, example)
		}
		text = strings.ReplaceAll(text, example, value)
	}
	return text
}

// startApp starts an application that shows the user that a proxy names in a header.
func startApp(t *testing.T) string {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("user " + r.Header.Get("X-Forwarded-User") + " " + r.Header.Get("X-Forwarded-Email")))
	}))
	t.Cleanup(app.Close)
	return app.URL
}
