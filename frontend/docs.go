package frontend

// Docs is the data of the API documentation.
type Docs struct {
	Title, Version, Summary string
	Text                    []DocsText
	Sections                []DocsSection
	Schemas                 []DocsSchema
	Problems                []DocsProblem
	PublicURL               string
	Client                  ClientPackage
}

// DocsText is a paragraph.
type DocsText []DocsSpan

// DocsSpan is a part of a paragraph.
type DocsSpan struct {
	Code, Strong bool
	Text         string
}

// DocsSection is a group of operations.
type DocsSection struct {
	Name, Anchor string
	Text         []DocsText
	Operations   []DocsOperation
}

// DocsOperation is a method of a path.
type DocsOperation struct {
	Method, Path, Anchor, Summary string
	Text                          []DocsText
	Secret                        string // where the ticket's secret is sent: "secret" (header), "subprotocol", "" (not sent)
	Parameters                    []DocsField
	Bodies                        []DocsBody
	Answers                       []DocsAnswer
}

// DocsField is a parameter, or a property of a schema.
type DocsField struct {
	Name, In, Type string
	Ref            string // the schema that Type names; "" for none
	Required       bool
	Text           []DocsText
}

// DocsBody is a body in one media type.
type DocsBody struct {
	Kind, Ref string
	Examples  []DocsExample
}

// DocsExample is an example in JSON.
type DocsExample struct{ Name, Summary, Text string }

// DocsAnswer is the answer with one status. Class is for example "4xx".
type DocsAnswer struct {
	Status, Class string
	Text          []DocsText
	Codes         []string
	OAuth         bool // the codes are those of RFC 6749, not of the table of errors
	Bodies        []DocsBody
}

// DocsSchema is a named schema.
type DocsSchema struct {
	Name, Anchor, Type string
	Text               []DocsText
	Fields             []DocsField
}

// DocsProblem is a row of the table of errors.
type DocsProblem struct {
	Code, Title, Detail string
	Status              int
}
