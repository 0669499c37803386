#include "config.h"
#include "base/json.h"

#include "base/err.h"
#include "base/utf8.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A struct json is jansson's json_t under a name that no other file can open. */
static struct json *from(json_t *j)
{
	return (struct json *)j;
}

static json_t *to(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

/* jansson's text quotes the input, which may hold anything but what a terminal should see. */
static int syntax_error(const json_error_t *e, const char *what, size_t line)
{
	char text[JSON_ERROR_TEXT_LENGTH];
	size_t n;

	snprintf(text, sizeof(text), "%s", e->text);
	n = utf8_valid(text, strlen(text));
	text[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			text[i] = ' ';
	return err_set(RAG_EFORMAT, "cannot parse '%s', line %zu, column %d: %s", what,
		       line - 1 + (size_t)(e->line > 0 ? e->line : 1), e->column, text);
}

int json_parse(struct json **out, const char *text, size_t len, const char *what)
{
	return json_parse_line(out, text, len, what, 1);
}

int json_parse_line(struct json **out, const char *text, size_t len, const char *what, size_t line)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_error_t e;
	json_t *j;

	*out = NULL;
	if (len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {	/* editors on Windows write a mark */
		text += 3;
		len -= 3;
	}
	if (!len)
		return err_set(RAG_EFORMAT, "cannot parse '%s': it is empty", what);
	j = json_loadb(text, len, flags, &e);
	/* Tokenizer settings write "no limit" as 10^30; only then do integers become doubles. */
	if (!j && json_error_code(&e) == json_error_numeric_overflow)
		j = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &e);
	if (!j && json_error_code(&e) == json_error_out_of_memory)
		return err_set(RAG_ENOMEM, "out of memory parsing '%s'", what);
	if (!j)
		return syntax_error(&e, what, line);
	*out = from(j);
	return RAG_OK;
}

void json_free(struct json *root)
{
	json_decref(to(root));
}

const struct json *json_get(const struct json *obj, const char *key)
{
	return from(json_object_get(to(obj), key));
}

const struct json *json_at(const struct json *arr, size_t i)
{
	return from(json_array_get(to(arr), i));
}

size_t json_len(const struct json *j)
{
	return json_is_arr(j) ? json_array_size(to(j)) : json_object_size(to(j));
}

bool json_is_str(const struct json *j)
{
	return json_is_string(to(j));
}

bool json_is_arr(const struct json *j)
{
	return json_is_array(to(j));
}

bool json_is_obj(const struct json *j)
{
	return json_is_object(to(j));
}

const char *json_str(const struct json *j, const char *otherwise)
{
	return json_is_str(j) ? json_string_value(to(j)) : otherwise;
}

size_t json_str_len(const struct json *j)
{
	return json_string_length(to(j));
}

int64_t json_int(const struct json *j, int64_t otherwise)
{
	const double exact = 9007199254740992.0;	/* 2^53: below, each integer is a double */
	double v;

	if (json_is_integer(to(j)))
		return json_integer_value(to(j));
	if (!json_is_real(to(j)))
		return otherwise;
	v = json_real_value(to(j));
	return fabs(v) < exact && v == trunc(v) ? (int64_t)v : otherwise;
}

double json_num(const struct json *j, double otherwise)
{
	return json_is_number(to(j)) ? json_number_value(to(j)) : otherwise;
}

bool json_bool(const struct json *j, bool otherwise)
{
	return json_is_boolean(to(j)) ? json_is_true(to(j)) : otherwise;
}

bool json_next(const struct json *obj, void **it, const char **key, const struct json **value)
{
	json_t *o = to(obj);

	*it = *it ? json_object_iter_next(o, *it) : json_object_iter(o);
	if (!*it)
		return false;
	*key = json_object_iter_key(*it);
	*value = from(json_object_iter_value(*it));
	return true;
}

static int add_escaped(struct buf *b, const char *s, size_t n)
{
	static const char letters[] = "\b\b\f\f\n\n\r\r\t\t";
	static const char names[] = "bbffnnrrtt";
	size_t step, plain = 0, i = 0;
	int rc = RAG_OK;

	while (!rc && i < n) {
		unsigned char c = (unsigned char)s[i];
		const char *named;
		bool bad;

		step = 1;
		bad = c >= 0x80 && utf8_next(s + i, n - i, &step) == UTF8_BAD;
		if (!bad && c >= 0x20 && c != '"' && c != '\\') {
			i += step;
			continue;
		}
		rc = buf_add(b, s + plain, i - plain);
		named = c ? memchr(letters, c, sizeof(letters) - 1) : NULL;
		if (rc)
			break;
		if (bad)
			rc = buf_adds(b, "\xEF\xBF\xBD");
		else if (c == '"' || c == '\\')
			rc = buf_addf(b, "\\%c", c);
		else if (named)
			rc = buf_addf(b, "\\%c", names[named - letters]);
		else
			rc = buf_addf(b, "\\u%04x", c);
		i += step;
		plain = i;
	}
	return rc ? rc : buf_add(b, s + plain, n - plain);
}

/* What was added before a failure is taken back. */
static int kept(struct buf *b, size_t len, int rc)
{
	if (rc && b->data) {
		b->len = len;
		b->data[len] = 0;
	}
	return rc;
}

int json_add_str(struct buf *b, const char *s, size_t n)
{
	size_t len = b->len;
	int rc = buf_addc(b, '"');

	if (!rc)
		rc = add_escaped(b, s, n);
	if (!rc)
		rc = buf_addc(b, '"');
	return kept(b, len, rc);
}

int json_add_key(struct buf *b, const char *key)
{
	size_t len = b->len;
	int rc = RAG_OK;

	if (len && b->data[len - 1] != '{')
		rc = buf_adds(b, ", ");
	if (!rc)
		rc = json_add_str(b, key, strlen(key));
	if (!rc)
		rc = buf_adds(b, ": ");
	return kept(b, len, rc);
}

int json_add_float(struct buf *b, double v)
{
	char text[32], plain[32];
	size_t n = 0;

	if (!isfinite(v))
		return buf_adds(b, "null");
	/* A float survives nine digits; mostly fewer give the same one. */
	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtof(text, NULL) == (float)v)
			break;
	}
	/* The program's locale may write the point as something else, of any length. */
	for (const char *p = text; *p; p++) {
		if (isdigit((unsigned char)*p) || *p == '-' || *p == '+' || *p == 'e')
			plain[n++] = *p;
		else if (n && plain[n - 1] != '.')
			plain[n++] = '.';
	}
	return buf_add(b, plain, n);
}
