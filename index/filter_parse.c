/* Expressions to nodes, by recursive descent: or, and, not, term. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/filter_impl.h"

#define SPECIAL "=!<>~()[],&|\"' \t\r\n"	/* what ends a bare key */
#define ENDS "()[],&|\"' \t\r\n"		/* what ends a bare value */

struct parser {
	const char *expr, *p;
	int depth;
};

static int bad(const struct parser *s, const char *at, const char *what)
{
	size_t column = 1;

	for (const char *p = s->expr; p < at; p++)
		column += ((unsigned char)*p & 0xC0) != 0x80;
	return err_set(RAG_EINVAL, "filter '%.200s': %s at column %zu", s->expr, what, column);
}

static const char *skip(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static size_t key_len(const char *p)
{
	return strcspn(p, SPECIAL);
}

static bool word(const char *p, const char *w)
{
	return key_len(p) == strlen(w) && !memcmp(p, w, strlen(w));
}

/* = == != < <= > >= ~ !~ */
static bool sign(const char *p)
{
	return (*p && strchr("=<>~", *p)) || (*p == '!' && p[1] && strchr("=~", p[1]));
}

/* The same where a term may begin: "not = x" is a key. */
static bool prefix(const char *p, const char *w)
{
	return word(p, w) && !sign(skip(p + strlen(w)));
}

/* Does a term, or what may stand before one, begin here? */
static bool term_begins(const char *p)
{
	for (p = skip(p); *p == '(' || *p == '!'; p = skip(p + 1))
		;
	if (prefix(p, "not") || prefix(p, "has"))
		return true;
	if (!key_len(p))
		return false;
	p = skip(p + key_len(p));
	return sign(p) || word(p, "in");
}

/* ---- values ------------------------------------------------------------------ */

/* "..." with \" and \\, or '...'.  Leaves s->p behind it. */
static int quoted(struct filter_value *v, struct parser *s)
{
	const char *from = s->p++;
	char q = *from;

	v->text = mem_alloc(strlen(s->p) + 1);
	if (!v->text)
		return RAG_ENOMEM;
	while (*s->p && *s->p != q) {
		if (q == '"' && *s->p == '\\' && (s->p[1] == '"' || s->p[1] == '\\'))
			s->p++;
		v->text[v->len++] = *s->p++;
	}
	v->text[v->len] = 0;
	if (!*s->p)
		return bad(s, from, "a quote that is not closed");
	s->p++;
	return RAG_OK;
}

static int value_new(struct filter_value **out, struct filter_node *t)
{
	struct filter_value *v = mem_realloc(t->value, t->n + 1, sizeof(*v));

	if (!v)
		return RAG_ENOMEM;
	t->value = v;
	*out = &v[t->n++];
	memset(*out, 0, sizeof(**out));
	return RAG_OK;
}

/* "2024", "2024-01-31", "2024-01-31T12:00Z" */
static bool is_time(const struct filter_value *v)
{
	return v->len >= 4 && strspn(v->text, "0123456789") >= 4 && v->text[strspn(v->text, "0123456789-:TZ")] == 0;
}

static int value(struct filter_node *t, struct parser *s)
{
	const char *at = s->p = skip(s->p);
	struct filter_value *v;
	int rc = value_new(&v, t);

	if (rc)
		return rc;
	if (*at == '"' || *at == '\'') {
		rc = quoted(v, s);
	} else {
		v->len = strcspn(at, ENDS);
		if (!v->len || sign(at))
			return bad(s, at, "a value is missing");
		s->p += v->len;
		v->text = mem_strndup(at, v->len);
		rc = v->text ? RAG_OK : RAG_ENOMEM;
		v->number = !rc && filter_number(&v->n, v->text, v->len);
	}
	if (rc || t->op == FILTER_REGEX)
		return rc;
	if (t->key == FILTER_SIZE && !v->number)
		return bad(s, at, "size is a number, and this is none");
	if ((t->key == FILTER_ADDED || t->key == FILTER_MODIFIED) && !is_time(v))
		return bad(s, at, "a date is like 2024-01-31, and this is not");
	return RAG_OK;
}

/* "[a, b]" */
static int list(struct filter_node *t, struct parser *s)
{
	int rc;

	s->p = skip(s->p);
	if (*s->p != '[')
		return bad(s, s->p, "'[' is missing");
	do {
		s->p++;
		rc = value(t, s);
		if (rc)
			return rc;
		s->p = skip(s->p);
	} while (*s->p == ',');
	if (*s->p != ']')
		return bad(s, s->p, "',' or ']' is missing");
	s->p++;
	return RAG_OK;
}

/* Where a bare glob ends: at " and", at another operator if a term follows it (so that
 * "title=War or Peace" is a title), at a parenthesis that it has not opened. */
static const char *glob_end(const struct parser *s, const char *p)
{
	size_t open = 0;

	for (; *p; p++) {
		bool space = *p == ' ' || *p == '\t';

		if (*p == '(') {
			open++;
		} else if (*p == ')') {
			if (!open && s->depth)
				break;
			open -= open > 0;
		} else if (space && !strncmp(p + 1, "and", 3) && (!p[4] || strchr(" \t", p[4]))) {
			break;
		} else if (space && !strncmp(p + 1, "or", 2) && p[3] && strchr(" \t", p[3]) && term_begins(p + 3)) {
			break;
		} else if ((!strncmp(p, "&&", 2) || !strncmp(p, "||", 2)) && term_begins(p + 2)) {
			break;
		}
	}
	return p;
}

static int glob(struct filter_node *t, struct parser *s)
{
	const char *from = s->p = skip(s->p), *end;
	struct filter_value *v;
	int rc = value_new(&v, t);

	if (rc)
		return rc;
	if (*from == '"')
		return quoted(v, s);
	s->p = end = glob_end(s, from);
	while (end > from && strchr(" \t\r\n", end[-1]))
		end--;
	if (end == from)
		return bad(s, from, "a pattern is missing");
	v->len = (size_t)(end - from);
	v->text = mem_strndup(from, v->len);
	return v->text ? RAG_OK : RAG_ENOMEM;
}

/* ---- terms ------------------------------------------------------------------- */

static int named(struct filter_node *t, struct parser *s)
{
	static const char *const keys[] = { "", "uri", "path", "title", "type", "size", "added", "modified" };

	s->p = skip(s->p);
	t->name_len = key_len(s->p);
	if (!t->name_len)
		return bad(s, s->p, *s->p ? "no key" : "a term is missing");
	t->name = mem_strndup(s->p, t->name_len);
	if (!t->name)
		return RAG_ENOMEM;
	for (size_t i = 1; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(t->name, keys[i]))
			t->key = (enum filter_key)i;
	s->p += t->name_len;
	return RAG_OK;
}

static int pattern(struct filter_node *t, struct parser *s)
{
	const char *at = s->p = skip(s->p);
	char why[256];
	int rc = value(t, s);

	if (rc)
		return rc;
	if (!t->value->len)
		return bad(s, at, "a pattern is missing");
	if (strlen(t->value->text) != t->value->len)
		return bad(s, at, "a pattern with a NUL");
	rc = regex_new(&t->re, t->value->text);
	if (rc == RAG_EINVAL) {
		snprintf(why, sizeof(why), "%s", err_msg());
		return bad(s, at, why);
	}
	if (!rc)
		regex_limit(t->re, FILTER_STEPS);
	return rc;
}

/* Behind the key.  *not: the opposite of the term is meant. */
static int operation(struct filter_node *t, bool *not, struct parser *s)
{
	static const struct {
		const char *sign;
		enum filter_op op;
		bool not;
	} ops[] = {	/* the longer first */
		{ "==", FILTER_EQ, false }, { "!=", FILTER_EQ, true }, { "<=", FILTER_LE, false },
		{ ">=", FILTER_GE, false }, { "!~", FILTER_REGEX, true }, { "<", FILTER_LT, false },
		{ ">", FILTER_GT, false }, { "~", FILTER_REGEX, false }, { "=", FILTER_GLOB, false },
	};

	s->p = skip(s->p);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strncmp(s->p, ops[i].sign, strlen(ops[i].sign)))
			continue;
		s->p += strlen(ops[i].sign);
		t->op = ops[i].op;
		*not = ops[i].not;
		return t->op == FILTER_REGEX ? pattern(t, s) : t->op == FILTER_GLOB ? glob(t, s) : value(t, s);
	}
	if (word(s->p, "not") && word(skip(s->p + 3), "in")) {
		*not = true;
		s->p = skip(s->p + 3);
	}
	if (!word(s->p, "in"))
		return bad(s, s->p, "an operator (== != < <= > >= ~ !~ in =) is missing");
	s->p += 2;
	t->op = FILTER_EQ;
	return list(t, s);
}

static int node_new(struct filter_node **out, enum filter_kind kind)
{
	*out = mem_calloc(1, sizeof(**out));
	if (!*out)
		return RAG_ENOMEM;
	(*out)->kind = kind;
	return RAG_OK;
}

/* Makes n the only child of a new node. */
static int wrap(struct filter_node **n, enum filter_kind kind)
{
	struct filter_node *up;
	int rc = node_new(&up, kind);

	if (rc)
		return rc;
	up->child = *n;
	*n = up;
	return RAG_OK;
}

static int term(struct filter_node **out, struct parser *s)
{
	bool not = false;
	int rc = node_new(out, FILTER_TERM);

	if (rc)
		return rc;
	if (prefix(s->p, "has")) {
		s->p += 3;
		(*out)->op = FILTER_HAS;
		return named(*out, s);
	}
	rc = named(*out, s);
	if (!rc)
		rc = operation(*out, &not, s);
	return rc || !not ? rc : wrap(out, FILTER_NOT);
}

/* ---- and, or, not ------------------------------------------------------------- */

static int either(struct filter_node **out, struct parser *s);

static int unary(struct filter_node **out, struct parser *s)
{
	const char *at = s->p = skip(s->p);
	bool not = *at == '!' || prefix(at, "not");
	int rc;

	if (!not && *at != '(')
		return term(out, s);
	if (++s->depth > FILTER_DEPTH)
		return bad(s, at, "too many parentheses and nots within each other");
	s->p += not && *at != '!' ? 3 : 1;
	if (not) {
		rc = unary(out, s);
		if (!rc)
			rc = wrap(out, FILTER_NOT);
	} else {
		rc = either(out, s);
		if (!rc && *s->p != ')')
			rc = bad(s, s->p, "'and', 'or' or ')' is missing");
		s->p += !rc;
	}
	s->depth--;
	return rc;
}

static int joined(struct filter_node **out, struct parser *s, enum filter_kind kind);

static int operand(struct filter_node **out, struct parser *s, enum filter_kind kind)
{
	return kind == FILTER_AND ? unary(out, s) : joined(out, s, FILTER_AND);
}

/* Length of the operator at s->p; 0: another, or none. */
static size_t joins(const struct parser *s, enum filter_kind kind)
{
	const char *sign = kind == FILTER_AND ? "&&" : "||", *name = kind == FILTER_AND ? "and" : "or";

	return !strncmp(s->p, sign, 2) ? 2 : word(s->p, name) ? strlen(name) : 0;
}

/* Operands joined by one operator; a lone one is itself. */
static int joined(struct filter_node **out, struct parser *s, enum filter_kind kind)
{
	struct filter_node **last;
	size_t n;
	int rc = operand(out, s, kind);

	s->p = skip(s->p);
	if (rc || !joins(s, kind))
		return rc;
	rc = wrap(out, kind);
	if (rc)
		return rc;
	last = &(*out)->child->next;
	while (!rc && (n = joins(s, kind)) > 0) {
		s->p += n;
		rc = operand(last, s, kind);
		if (!rc)
			last = &(*last)->next;
		s->p = skip(s->p);
	}
	return rc;
}

static int either(struct filter_node **out, struct parser *s)
{
	return joined(out, s, FILTER_OR);
}

/* `in` as a term. */
static int in_uri(struct filter_node **out, const char *in)
{
	struct filter_value *v;
	int rc = node_new(out, FILTER_TERM);

	if (!rc)
		rc = value_new(&v, *out);
	if (rc)
		return rc;
	(*out)->key = FILTER_URI;
	(*out)->op = FILTER_GLOB;
	v->len = strlen(in);
	v->text = mem_strdup(in);
	return v->text ? RAG_OK : RAG_ENOMEM;
}

int filter_parse(struct filter **out, const char *expr, const char *in)
{
	struct parser s = { expr, expr, 0 };
	struct filter *f;
	int rc = RAG_OK;

	*out = NULL;
	if ((!expr || !*expr) && (!in || !*in))
		return RAG_OK;
	if (expr && strlen(expr) > FILTER_MAX)
		return err_set(RAG_EINVAL, "a filter of %zu bytes, at most %u are read", strlen(expr), FILTER_MAX);
	f = mem_calloc(1, sizeof(*f));
	if (!f)
		return RAG_ENOMEM;
	if (expr && *expr) {
		rc = either(&f->root, &s);
		if (!rc && *s.p)
			rc = bad(&s, s.p, "'and' or 'or' is missing");
	}
	if (!rc && in && *in && f->root) {
		rc = wrap(&f->root, FILTER_AND);
		if (!rc)
			rc = in_uri(&f->root->child->next, in);
	} else if (!rc && in && *in) {
		rc = in_uri(&f->root, in);
	}
	if (rc)
		filter_free(f);
	else
		*out = f;
	return rc;
}
