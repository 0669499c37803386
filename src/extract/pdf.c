/* ragstone-extract-pdf: PDF (poppler) to text with page marks. */
#include "config.h"

#include <poppler.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "src/extract/doc.h"

#define GAP 1.6		/* lines further apart than so many line heights: another paragraph */

/* Character maps of documents that name an encoding instead of carrying one. */
const char *const extract_readable[] = { "/usr/share/poppler", "/usr/local/share/poppler", NULL };

int extract_prepare(const struct input *in)
{
	(void)in;
	return RAG_OK;
}

/* "Microsoft Word - thesis.doc" and the like name a program, not a text. */
static int title(struct doc *d, PopplerDocument *pdf)
{
	static const char *const ends[] = { ".doc", ".docx", ".dvi", ".tex", ".indd", ".qxd", ".pdf",
					    ".ps", ".eps", ".ai", ".xls", ".xlsx", ".ppt", ".pptx" };
	char *t = poppler_document_get_title(pdf);
	const char *s = t ? t : "";
	size_t n;
	int rc = RAG_OK;

	if (!strncmp(s, "Microsoft ", 10) && strstr(s, " - "))
		s = strstr(s, " - ") + 3;
	n = strlen(s);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (n > strlen(ends[i]) && !g_ascii_strcasecmp(s + n - strlen(ends[i]), ends[i]))
			n = 0;
	if (n && g_ascii_strcasecmp(s, "untitled") && g_utf8_validate(s, (gssize)n, NULL))
		rc = doc_title(d, s, n);
	g_free(t);
	return rc;
}

static int text_of(struct doc *d, const char *key, char *s, const char *separators)
{
	int rc = RAG_OK;

	if (s && g_utf8_validate(s, -1, NULL))
		rc = doc_about_list(d, key, s, strlen(s), separators);
	g_free(s);
	return rc;
}

static int time_of(struct doc *d, const char *key, GDateTime *t)
{
	GDateTime *utc = t ? g_date_time_to_utc(t) : NULL;
	char *s = utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	if (utc)
		g_date_time_unref(utc);
	if (t)
		g_date_time_unref(t);
	return text_of(d, key, s, "");
}

static int metadata(struct doc *d, PopplerDocument *pdf)
{
	int rc = text_of(d, "author", poppler_document_get_author(pdf), "");

	if (!rc)
		rc = text_of(d, "subject", poppler_document_get_subject(pdf), "");
	if (!rc)
		rc = text_of(d, "keywords", poppler_document_get_keywords(pdf), ",;");
	if (!rc)
		rc = time_of(d, "date", poppler_document_get_creation_date_time(pdf));
	return rc ? rc : time_of(d, "updated", poppler_document_get_modification_date_time(pdf));
}

/* A line's end as it is set is not one of the text: "exam-\nple" is one word. */
static bool hyphenated(const char *s, size_t n, size_t eol)
{
	size_t k, before, at = eol;
	uint32_t c;

	if (!at || s[at - 1] != '-' || at < 2 || eol + 1 >= n)
		return false;
	before = utf8_floor(s, n, at - 2);
	c = utf8_next(s + before, n - before, &k);
	if (!utf8_is_letter(c) || utf8_is_upper(c))
		return false;
	c = utf8_next(s + eol + 1, n - eol - 1, &k);
	return utf8_is_letter(c) && !utf8_is_upper(c);
}

/* Ligatures are one glyph but two or three letters. */
static int add(struct doc *d, const char *s, size_t n)
{
	static const char *const letters[] = { "ff", "fi", "fl", "ffi", "ffl", "st", "st" };
	size_t from = 0;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i + 3 <= n; i++) {
		unsigned char last = (unsigned char)s[i + 2];

		if (memcmp(s + i, "\xEF\xAC", 2) || last < 0x80 || last > 0x86)
			continue;
		rc = doc_text(d, s + from, i - from);
		if (!rc)
			rc = doc_text(d, letters[last - 0x80], strlen(letters[last - 0x80]));
		from = i + 3;
		i += 2;
	}
	return rc ? rc : doc_text(d, s + from, n - from);
}

/* Where the line that begins with character `at` stands; false: not known. */
static bool place(double *top, double *height, const PopplerRectangle *r, guint n_r, size_t at)
{
	if (at >= n_r)
		return false;
	*top = r[at].y1;
	*height = r[at].y2 - r[at].y1;
	return *height > 0;
}

static int page_text(struct doc *d, PopplerPage *page)
{
	char *s = poppler_page_get_text(page);
	PopplerRectangle *r = NULL;
	guint n_r = 0;
	size_t n = s ? strlen(s) : 0, chars = 0;
	double top = 0, height = 0, was = 0;
	bool known = false;
	int rc = RAG_OK;

	if (n && utf8_valid(s, n) != n) {
		struct buf b = BUF_INIT;
		size_t bad;

		rc = utf8_repair(&b, s, n, &bad);
		g_free(s);
		s = g_strndup(buf_str(&b), b.len);
		n = b.len;
		buf_release(&b);
	} else if (n) {
		poppler_page_get_text_layout(page, &r, &n_r);
	}
	for (size_t i = 0; !rc && i < n;) {
		const char *e = memchr(s + i, '\n', n - i);
		size_t eol = e ? (size_t)(e - s) : n;
		bool join = e && hyphenated(s, n, eol), had = known;

		was = top;
		known = place(&top, &height, r, n_r, chars);
		if (had && known && (top - was > GAP * height || top < was - height))
			doc_para(d);
		rc = add(d, s + i, eol - i - join);
		if (!join)
			doc_line(d);
		chars += (size_t)g_utf8_strlen(s + i, (gssize)(eol - i)) + 1;
		i = eol + 1;
	}
	g_free(r);
	g_free(s);
	return rc;
}

int extract_run(struct doc *d, const struct input *in)
{
	GError *e = NULL;
	GBytes *bytes = g_bytes_new_static(in->data, in->len);
	PopplerDocument *pdf = poppler_document_new_from_bytes(bytes, NULL, &e);
	int n, missing = 0, rc;

	d->kind = KIND_PDF;
	if (!pdf) {
		if (g_error_matches(e, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED))
			return err_set(RAG_EDENIED, "encrypted PDF: it needs a password");
		return err_set(RAG_EFORMAT, "damaged PDF: %s", e ? e->message : "no document");
	}
	n = poppler_document_get_n_pages(pdf);
	if (n <= 0)
		return err_set(RAG_EFORMAT, "damaged PDF: no pages");
	rc = title(d, pdf);
	if (!rc)
		rc = metadata(d, pdf);
	for (int i = 0; !rc && i < n; i++) {
		PopplerPage *page = poppler_document_get_page(pdf, i);

		if (!page) {
			missing++;
			continue;
		}
		doc_page(d, (uint32_t)i + 1);
		rc = page_text(d, page);
		g_object_unref(page);
	}
	if (!rc && missing == n)
		return err_set(RAG_EFORMAT, "damaged PDF: none of its %d page%s can be read", n, n == 1 ? "" : "s");
	if (!rc && !d->text.len)
		return err_set(RAG_EUNSUP, "no text in %d page%s (scanned?)", n, n == 1 ? "" : "s");
	if (!rc && missing)
		g_snprintf(d->warning, sizeof(d->warning), "%d of %d pages cannot be read", missing, n);
	return rc;
}
