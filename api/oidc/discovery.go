package oidc

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"loginhub/hub/client"
)

// grantTypes are the values of grant_type by the names of the clients file.
var grantTypes = map[string]string{
	client.GrantCode:    "authorization_code",
	client.GrantRefresh: "refresh_token",
	client.GrantDevice:  "urn:ietf:params:oauth:grant-type:device_code",
}

// discovery is GET /.well-known/openid-configuration (OpenID Connect Discovery 1.0,
// section 3) and GET /.well-known/oauth-authorization-server (RFC 8414, section 2).
func (h *Handlers) discovery(c echo.Context) error {
	header := c.Response().Header()
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("Access-Control-Allow-Origin", "*")
	signatures := []string{client.AlgRS256, client.AlgES256, client.AlgEdDSA}
	secretMethods := authMethods[:3]
	at := func(path string) string { return h.issuerURL + path }
	return c.JSON(http.StatusOK, map[string]any{
		"issuer":                                at(""),
		"authorization_endpoint":                at(AuthorizePath),
		"token_endpoint":                        at(tokenPath),
		"userinfo_endpoint":                     at(userinfoPath),
		"jwks_uri":                              at("/.well-known/jwks.json"),
		"introspection_endpoint":                at(introspectPath),
		"revocation_endpoint":                   at(revokePath),
		"end_session_endpoint":                  at(LogoutPath),
		"device_authorization_endpoint":         at(devicePath),
		"pushed_authorization_request_endpoint": at(parPath),

		"scopes_supported":         []string{scopeOpenID, scopeProfile, scopeEmail, scopePhone, "address", scopeOffline},
		"response_types_supported": []string{"code"},
		"response_modes_supported": []string{"query", "form_post"},
		"grant_types_supported":    []string{grantTypes[client.GrantCode], grantTypes[client.GrantRefresh], grantTypes[client.GrantDevice]},
		"subject_types_supported":  []string{"public"},
		"acr_values_supported":     []string{acr},
		"claims_supported": []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
			"name", "preferred_username", "picture", "email", "email_verified", "phone_number", "phone_number_verified", "groups"},
		"claim_types_supported":                 []string{"normal"},
		"display_values_supported":              []string{"page"},
		"ui_locales_supported":                  h.options.Locales,
		"prompt_values_supported":               []string{"none", "login", "consent", "select_account"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": signatures,
		"dpop_signing_alg_values_supported":     dpopAlgorithms,

		"token_endpoint_auth_methods_supported":                    authMethods,
		"token_endpoint_auth_signing_alg_values_supported":         assertionAlgorithms,
		"introspection_endpoint_auth_methods_supported":            secretMethods,
		"introspection_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"revocation_endpoint_auth_methods_supported":               authMethods,
		"revocation_endpoint_auth_signing_alg_values_supported":    assertionAlgorithms,

		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"require_request_uri_registration":               false,
		"require_pushed_authorization_requests":          false,
		"tls_client_certificate_bound_access_tokens":     false,
	})
}
