#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ingest/extract.h"
#include "tests/tap.h"

static char program[512];

static int extract_fd(struct extracted *e, int fd, const char *type, const char *name)
{
	static const struct progress_at at = { "extract", "test", 0, 0 };
	struct extract *x;
	int rc = extract_start(&x, program, fd, type, name);

	memset(e, 0, sizeof(*e));
	if (rc)
		return rc;
	rc = extract_finish(e, x, NULL, &at);
	extract_free(x);
	return rc;
}

static int extract(struct extracted *e, const void *s, size_t n, const char *type, const char *name)
{
	int fd, rc = file_memory(&fd, "extract-t");

	if (rc)
		return rc;
	rc = file_write(fd, s, n);
	if (!rc)
		rc = extract_fd(e, fd, type, name);
	close(fd);
	return rc;
}

/* Extracts and compares: kind, text. */
static void same(const void *s, size_t n, const char *type, const char *name, enum frame_kind kind,
		 const char *want, const char *what)
{
	struct extracted e;
	int rc = extract(&e, s, n, type, name);

	if (!ok(rc == RAG_OK && e.kind == kind && e.len == strlen(want) && !memcmp(e.text, want, e.len),
		"%s", what))
		printf("# got rc %d, kind %d, '%.*s'\n", rc, e.kind, (int)e.len, e.text ? e.text : "");
	extracted_release(&e);
}

static void fails(const void *s, size_t n, const char *type, const char *name, int code, const char *why)
{
	struct extracted e;
	int rc = extract(&e, s, n, type, name);

	ok(rc == code && strstr(err_msg(), why), "%s: %s", name, why);
	if (rc != code || !strstr(err_msg(), why))
		printf("# got %d, '%s'\n", rc, err_msg());
	extracted_release(&e);
}

#define STR(s) s, sizeof(s) - 1

static void warned(const void *s, size_t n, const char *want, const char *warning, const char *what)
{
	struct extracted e;
	int rc = extract(&e, s, n, "", "x.txt");

	ok(!rc && e.len == strlen(want) && !memcmp(e.text, want, e.len), "%s", what);
	is_str(e.warning, warning, what);
	extracted_release(&e);
}

static void test_text(void)
{
	static const char utf16[] = "\xFF\xFEh\0i\0\r\0\n\0=\xD8\x00\xDE";
	static const char utf16be[] = "\xFE\xFF\0h\0i";
	static const char bare[] = "h\0e\0l\0l\0o\0 \0w\0o\0r\0l\0d\0";
	char garbage[4096];

	same(STR("one  \r\ntwo\rthree\n\n\n\n  four\n"), "", "x", KIND_TEXT, "one\ntwo\nthree\n\n  four", "plain text");
	same(STR("\xEF\xBB\xBFwith a mark"), "", "x", KIND_TEXT, "with a mark", "byte order mark");
	same(utf16, sizeof(utf16) - 1, "", "x.txt", KIND_TEXT, "hi\n\xF0\x9F\x98\x80", "UTF-16, little-endian");
	same(utf16be, sizeof(utf16be) - 1, "", "x.txt", KIND_TEXT, "hi", "UTF-16, big-endian");
	same(bare, sizeof(bare) - 1, "", "x.txt", KIND_TEXT, "hello world", "UTF-16 without a mark");
	same(STR("\xCF\xF0\xE8\xE2\xE5\xF2"), "text/plain; charset=windows-1251", "x", KIND_TEXT,
	     "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82", "a declared encoding");
	same(STR("pass\xE2\x80\xAEword\xE2\x80\x8B \x1B[31mred\xF3\xA0\x81\x81"), "", "x", KIND_TEXT,
	     "password [31mred", "what hides words is left out");
	same(STR("page one\fpage two"), "", "x", KIND_TEXT, "page one\n\npage two", "form feed");
	same(STR("The first bytes of a PDF are %PDF-1.4"), "", "x.txt", KIND_TEXT, "The first bytes of a PDF are %PDF-1.4", "text that speaks of PDF");
	warned(STR("a caf\xE9 at the sea"), "a caf\xC3\xA9 at the sea", "not UTF-8: 1 bytes read as windows-1252",
	       "western text");
	warned(STR("good \xC3\xA9 and \xFF\xFE\xC3( bad"), "good \xC3\xA9 and \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD( bad",
	       "3 invalid bytes replaced", "damaged UTF-8");

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 2654435761u >> 13);
	fails(garbage, sizeof(garbage), "", "garbage", RAG_EUNSUP, "not text");
	fails(STR(""), "", "empty", RAG_EUNSUP, "empty: 0 bytes");
	fails(STR(" \n\t\n"), "", "blank", RAG_EUNSUP, "empty: no text");
	fails(STR("\x89PNG\r\n\x1A\n...."), "", "x.txt", RAG_EUNSUP, "PNG image");
	fails(STR("PK\3\4...."), "", "x.docx", RAG_EUNSUP, "ZIP archive");
	fails(STR("anything"), "image/svg+xml", "x", RAG_EUNSUP, "not text: of type");
}

static void test_markdown(void)
{
	static const char md[] =
		"---\ntitle: \"Of *stones*\"\nauthor: x\n---\n# First\n\nSome **bold** `code` and a [link](http://x/).\n"
		"Next line.\n\n## Second ##\n\n- one\n- two\n\n3. three\n4. four\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
		"```\nint x;\n  y();\n```\n\n<h2>Third</h2><p>raw <script>bad()</script>html</p>\n\nFourth\n===\n";
	static const char want[] =
		"First\n\nSome bold code and a link.\nNext line.\n\nSecond\n\n- one\n- two\n\n3. three\n4. four\n\n"
		"| a | b |\n| 1 | 2 |\n\nint x;\n  y();\n\nThird\n\nraw html\n\nFourth";
	static const char *const labels[] = { "First", "Second", "Third", "Fourth" };
	struct extracted e;
	bool good;

	same(STR(md), "", "x.md", KIND_MARKDOWN, want, "Markdown");
	is_int(extract(&e, STR(md), "text/plain", "x.MD"), RAG_OK, "as servers send it");
	is_int(e.kind, KIND_MARKDOWN, "known by its name");
	is_str(e.title, "Of *stones*", "front matter");
	good = e.n_marks == 4;
	for (size_t i = 0; good && i < 4; i++)
		good &= e.marks[i].kind == STORE_HEADING && !strcmp(e.marks[i].text, labels[i]) &&
			!memcmp(e.text + e.marks[i].at, labels[i], strlen(labels[i]));
	ok(good && e.marks[1].value == 2, "headings and where they are");
	extracted_release(&e);
	is_int(extract(&e, STR("# A title\n\ntext"), "", "x.md"), RAG_OK, "no front matter");
	is_str(e.title, "A title", "the first heading");
	extracted_release(&e);
}

/* What a document says of itself, and its title; a warning, or NULL. */
static void says(const char *doc, const char *name, const char *about, const char *title,
		 const char *warning, const char *what)
{
	struct extracted e;

	if (ok(extract(&e, doc, strlen(doc), "", name) == RAG_OK, "%s", what)) {
		is_str(e.about, about, "its metadata");
		is_str(e.title, title, "its title");
		ok(warning ? e.warning && strstr(e.warning, warning) : !e.warning, "and %s warning",
		   warning ? "a" : "no");
	}
	extracted_release(&e);
}

static void test_metadata(void)
{
	struct buf b = BUF_INIT;
	struct extracted e;

	says("---\ntitle: >\n  A folded\n  title\nAuthor: \"Doe, J. = me\"\nlang: en\ndate: 2024-01-31\ntags: [a, 'b c', a]\n"
	     "draft: false\nempty:\nnothing: ~\nlist:\n  - x\n  - [deep]\n  - {deep: er}\n  - y\n---\ntext\n", "x.md",
	     "author=Doe, J. = me\nlang=en\ndate=2024-01-31\ntags=a\ntags=b c\ndraft=false\nlist=x\nlist=y\n",
	     "A folded title", NULL, "front matter");
	says("---\nParam Set:\n  a: 1\n  b: [c]\n\"a = b\": c\n? [x]\n: y\nanchor: &a z\nalias: *a\nafter: alias\n*a : v\n"
	     "block: |\n  two\n  lines\n...\ntext\n", "x.md",
	     "a___b=c\nanchor=z\nafter=alias\nblock=two lines\n", "", NULL, "keys and values that are none");
	says("---\ntitle: A: \"b\"\nlang: en\n---\n# Heading\n\ntext\n", "x.md", "", "A: \"b", "front matter, line 2: ",
	     "broken front matter");
	says("---\nlang: en\nx: [a\n---\ntext\n", "x.md", "lang=en\nx=a\n", "", "front matter, line ", "that ends too soon");
	says("+++\ntitle = \"Toml\"\nlang = \"en\"\n+++\ntext\n", "x.md", "", "Toml", NULL, "TOML");
	says("---\n- a\n- b\n---\ntext\n", "x.md", "", "", NULL, "a list");
	says("---\nzero: a\\0b\nhid\xe2\x80\x8b" "den: \"a\\u202e\\tb\\nc\"\n---\ntext\n", "x.md",
	     "zero=a\\0b\nhidden=a b c\n", "", NULL, "invisible characters");
	says("<!DOCTYPE html><html lang=de><head><title>T</title><meta name=Author content='Doe, J.'>"
	     "<meta name=keywords content='a, b;c'><meta property='article:published_time' content='2024-01-31T10:00:00Z'>"
	     "<meta name=viewport content=x><meta name=csrf-token content=secret><meta name=og:locale content=de_DE>"
	     "<meta charset=utf-8><meta http-equiv=refresh content=5><meta name=empty content=' '><meta name=n>"
	     "</head><body>text <div hidden><meta name=hid content=den></div></body></html>", "x.html",
	     "lang=de\nauthor=Doe, J.\nkeywords=a\nkeywords=b\nkeywords=c\ndate=2024-01-31T10:00:00Z\nog:locale=de_DE\n",
	     "T", NULL, "meta elements");
	says("text\n\n<meta name=author content=x>\n", "x.md", "", "", NULL, "none of HTML within Markdown");

	buf_adds(&b, "---\n");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "key%d: %040d\n", i, i);
	buf_adds(&b, "---\ntext\n");
	is_int(extract(&e, b.data, b.len, "", "x.md"), RAG_OK, "more metadata than is kept");
	ok(e.warning && strstr(e.warning, "more than 16 KiB of metadata: 'key3"), "is said");
	ok(strlen(e.about) <= FRAME_MAX_ABOUT && strlen(e.about) > FRAME_MAX_ABOUT - 100, "and bounded");
	extracted_release(&e);
	buf_clear(&b);
	buf_adds(&b, "---\na: ");
	for (int i = 0; i < 20000; i++)
		buf_adds(&b, "[");
	buf_adds(&b, "\n---\ntext\n");
	is_int(extract(&e, b.data, b.len, "", "x.md"), RAG_OK, "20,000 lists within each other");
	extracted_release(&e);
	buf_release(&b);
}

static void test_html(void)
{
	static const char html[] =
		"<!DOCTYPE html><html><head><meta charset=iso-8859-1><title>T &amp; t</title><style>p{}</style></head>"
		"<body><nav>menu</nav><h1>Caf\xE9</h1><p>Some <b>bold</b>\n text.<p>More&nbsp;text"
		"<ul><li>one<li>two</ul><ol><li>x<li>y</ol><table><tr><th>A</th><th>B</th></tr><tr><td>1<td>2</table>"
		"<pre>int x;\n  y();</pre><script>bad()</script><div style='display: none'>hidden</div><p hidden>too</p>"
		"line<br>break\0behind a zero</body></html>";
	static const char want[] =
		"Caf\xC3\xA9\n\nSome bold text.\n\nMore text\n\n- one\n- two\n\n1. x\n2. y\n\nA | B\n1 | 2\n\n"
		"int x;\n  y();\n\nline\nbreak behind a zero";
	struct extracted e;
	struct buf b = BUF_INIT;

	same(STR(html), "", "x.html", KIND_HTML, want, "HTML");
	same(STR(html), "", "no name", KIND_HTML, want, "HTML by its first bytes");
	is_int(extract(&e, STR(html), "", "x.html"), RAG_OK, "again");
	is_str(e.title, "T & t", "title");
	ok(e.n_marks == 1 && !strcmp(e.marks[0].text, "Caf\xC3\xA9") && e.marks[0].value == 1, "heading");
	extracted_release(&e);
	same(STR("<p>\x83\x65\x83\x58\x83\x67"), "text/html; charset=Shift_JIS", "x", KIND_HTML,
	     "\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88", "declared by the server");

	for (int i = 0; i < 100000; i++)
		buf_adds(&b, "<div>");
	buf_adds(&b, "deep");
	same(b.data, b.len, "", "x.html", KIND_HTML, "deep", "100,000 elements within each other");
	buf_clear(&b);
	for (int i = 0; i < 50000; i++)
		buf_adds(&b, "> ");
	buf_adds(&b, "deep\n\n");
	for (int i = 0; i < 50000; i++)
		buf_adds(&b, "[");
	is_int(extract(&e, b.data, b.len, "", "x.md"), RAG_OK, "50,000 quotes within each other");
	extracted_release(&e);
	buf_release(&b);
}

/* The smallest PDF with a line of text a page; offsets are left to poppler's repair. */
static void make_pdf(struct buf *b, int pages, const char *text, const char *extra)
{
	buf_adds(b, "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[");
	for (int i = 0; i < pages; i++)
		buf_addf(b, "%d 0 R ", 10 + 2 * i);
	buf_addf(b, "]/Count %d>>endobj\n3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n", pages);
	for (int i = 0; i < pages; i++) {
		char s[256];

		snprintf(s, sizeof(s), text[0] ? "BT /F1 12 Tf 72 720 Td (%s %d) Tj ET" : "0 0 m 9 9 l S", text, i + 1);
		buf_addf(b, "%d 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
			 "/Contents %d 0 R>>endobj\n%d 0 obj<</Length %zu>>stream\n%s\nendstream endobj\n",
			 10 + 2 * i, 11 + 2 * i, 11 + 2 * i, strlen(s), s);
	}
	buf_addf(b, "trailer<</Root 1 0 R/Size %d%s>>\n%%%%EOF\n", 10 + 2 * pages, extra);
}

static void test_pdf(void)
{
	static const char locked[] =
		"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<0000000000000000000000000000000000000000000000000000000000000000>"
		"/U<0000000000000000000000000000000000000000000000000000000000000000>>>/ID[<00><00>]";
	struct buf b = BUF_INIT;
	struct extracted e;

	make_pdf(&b, 3, "Page of text", "");
	is_int(extract(&e, b.data, b.len, "", "x.pdf"), RAG_OK, "PDF");
	ok(e.kind == KIND_PDF && e.len == strlen("Page of text 1\n\nPage of text 2\n\nPage of text 3") &&
	   !memcmp(e.text, "Page of text 1\n\nPage of text 2\n\nPage of text 3", e.len), "text of its pages");
	ok(e.n_marks == 3 && e.marks[2].kind == STORE_PAGE && e.marks[2].value == 3 &&
	   !memcmp(e.text + e.marks[2].at, "Page of text 3", 14), "page marks");
	extracted_release(&e);
	fails(b.data, 60, "", "cut.pdf", RAG_EFORMAT, "damaged PDF");
	buf_clear(&b);
	make_pdf(&b, 1, "Text", "/Info<</Title(T)/Author(Doe, J.)/Keywords(a; b)/CreationDate(D:20240131120000+01'00')>>");
	is_int(extract(&e, b.data, b.len, "", "x.pdf"), RAG_OK, "a PDF with properties");
	is_str(e.about, "author=Doe, J.\nkeywords=a\nkeywords=b\ndate=2024-01-31T11:00:00Z\n", "its metadata");
	is_str(e.title, "T", "its title");
	extracted_release(&e);
	buf_clear(&b);
	make_pdf(&b, 2, "", "");
	fails(b.data, b.len, "", "scan.pdf", RAG_EUNSUP, "no text in 2 pages (scanned?)");
	buf_clear(&b);
	make_pdf(&b, 1, "secret", locked);
	fails(b.data, b.len, "", "locked.pdf", RAG_EDENIED, "encrypted");
	fails(STR("no PDF at all"), "", "x.pdf", RAG_EFORMAT, "damaged PDF");
	fails(STR("no PDF at all"), "application/pdf", "x", RAG_EFORMAT, "damaged PDF");
	buf_release(&b);
}

static int stop(void *arg, const struct progress_at *at)
{
	(void)arg;
	(void)at;
	return 1;
}

/* What stands in for the program when it misbehaves. */
static void script(const char *name, const char *body)
{
	FILE *f = fopen(name, "w");

	if (f) {
		fprintf(f, "#!/bin/sh\n%s\n", body);
		fclose(f);
		chmod(name, 0700);
	}
}

static void test_deaths(void)
{
	static const struct progress_at at = { "extract", "test", 0, 0 };
	struct progress cancel = { stop, NULL };
	char real[512], fake[64] = "/tmp/extract-t.XXXXXX", dir[64];
	struct extracted e;
	struct extract *x;
	int fd;

	if (!mkdtemp(fake))
		return;
	snprintf(dir, sizeof(dir), "%s", fake);
	strcat(fake, "/fake");
	snprintf(real, sizeof(real), "%s", program);
	snprintf(program, sizeof(program), "%s", fake);
	fails(STR("x"), "", "none", RAG_ENOENT, "cannot run");
	script(fake, "kill -SEGV $$");
	fails(STR("x"), "", "crash", RAG_EFORMAT, "killed by signal 11");
	script(fake, "kill -XCPU $$");
	fails(STR("x"), "", "slow", RAG_ELIMIT, "longer than 60 s");
	script(fake, "exit 71");
	fails(STR("x"), "", "greedy", RAG_ELIMIT, "used more than 1024 MiB");
	script(fake, "printf 'cannot be \\033[1mconfined\\n' >&2; exit 72");
	fails(STR("x"), "", "open", RAG_EUNSUP, "cannot be  [1mconfined");
	script(fake, "exit 3");
	fails(STR("x"), "", "exit", RAG_EFORMAT, "exit code 3");
	script(fake, "exit 0");
	fails(STR("x"), "", "silent", RAG_EFORMAT, "damaged: it is cut");
	script(fake, "cat");
	fails(STR("ragxtr1\nand then no more of a record than this, which is wrong"), "", "liar", RAG_EFORMAT, "damaged");
	/* 16 MiB of complaints on standard error, and no record. */
	script(fake, "head -c 16777216 /dev/zero >&2");
	fails(STR("x"), "", "noisy", RAG_EFORMAT, "damaged");
	script(fake, "exec sleep 100");
	if (!file_memory(&fd, "t")) {
		is_int(extract_start(&x, program, fd, "", ""), RAG_OK, "one that hangs");
		is_int(extract_finish(&e, x, &cancel, &at), RAG_ECANCEL, "is cancelled");
		extracted_release(&e);
		extract_free(x);
		close(fd);
	}
	unlink(fake);
	rmdir(dir);
	snprintf(program, sizeof(program), "%s", real);
}

/* The program's own limits. */
static void test_limits(void)
{
	struct buf b = BUF_INIT;

	if (getenv("RAGSTONE_TEST_QUICK")) {
		tap_skip(1, "RAGSTONE_TEST_QUICK");
		return;
	}
	buf_reserve(&b, (size_t)66 << 20);
	while (b.len < FRAME_MAX_TEXT + 1000)
		buf_adds(&b, "A line of text that is repeated until there is more than enough of it.\n");
	fails(b.data, b.len, "", "long.txt", RAG_ELIMIT, "more than 64 MiB of text");
	buf_release(&b);
}

static size_t record(unsigned char *r, int status, const char *text, const void *marks, size_t marks_len, size_t n)
{
	memset(r, 0, FRAME_HEAD);
	memcpy(r, FRAME_MAGIC, 8);
	frame_put(r + 8, (uint32_t)status, 4);
	frame_put(r + 12, KIND_TEXT, 4);
	frame_put(r + 24, n, 4);
	frame_put(r + 28, marks_len, 4);
	frame_put(r + 32, strlen(text), 8);
	if (marks_len)
		memcpy(r + FRAME_HEAD, marks, marks_len);
	memcpy(r + FRAME_HEAD + marks_len, text, strlen(text));
	return FRAME_HEAD + marks_len + strlen(text);
}

static int parse(const unsigned char *r, size_t n)
{
	struct extracted e = { 0 };
	unsigned char *exact = mem_dup(r, n);	/* of its own size, for the sanitizers */
	int rc = extracted_parse(&e, exact, n);

	extracted_release(&e);
	mem_free(exact);
	return rc;
}

static size_t record_about(unsigned char *r, const char *about)
{
	size_t len = strlen(about), n = record(r, 0, "text", NULL, 0, 0);

	frame_put(r + 40, len, 4);
	memmove(r + FRAME_HEAD + len, r + FRAME_HEAD, n - FRAME_HEAD);
	memcpy(r + FRAME_HEAD, about, len);
	return n + len;
}

static void test_records(void)
{
	static const char *const lies[] = { "a=b", "a\n", "=b\n", "a=\n", "a=b\n\n", "a=b\tc\n", "a=\xff\n" };
	unsigned char r[512], m[64] = { 0 };
	size_t n, bad = 0;

	n = record(r, 0, "text", NULL, 0, 0);
	is_int(parse(r, n), RAG_OK, "a record");
	for (size_t i = 0; i < n; i++)
		bad += parse(r, i) != RAG_EFORMAT;
	is_int((long long)bad, 0, "cut anywhere it is none");
	/* Each byte of the head, changed in each bit: never accepted with other lengths, never a crash. */
	for (size_t i = 0; i < 8 * FRAME_HEAD; i++) {
		int rc;

		r[i / 8] ^= (unsigned char)(1u << i % 8);
		rc = parse(r, n);
		bad += rc == RAG_OK && !(i >= 96 && i < 128);	/* the kind may be another one */
		r[i / 8] ^= (unsigned char)(1u << i % 8);
	}
	is_int((long long)bad, 0, "a wrong bit is noticed");
	is_int(parse(r, record_about(r, "a=b\nc=d=e\n")), RAG_OK, "metadata");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		is_int(parse(r, record_about(r, lies[i])), RAG_EFORMAT, "metadata that is none");
	n = record(r, 0, "te\xFFt", NULL, 0, 0);
	is_int(parse(r, n), RAG_EFORMAT, "text that is no UTF-8");
	n = record(r, 0, "te\033t", NULL, 0, 0);
	is_int(parse(r, n), RAG_EFORMAT, "an escape");
	n = record(r, 0, "", NULL, 0, 0);
	is_int(parse(r, n), RAG_EFORMAT, "no text");
	n = record(r, RAG_ENOENT, "", NULL, 0, 0);
	is_int(parse(r, n), RAG_ENOENT, "a failure");
	n = record(r, -99, "", NULL, 0, 0);
	is_int(parse(r, n), RAG_EFORMAT, "a failure that we don't know");

	frame_put(m, 2, 8);
	frame_put(m + 8, 1, 4);
	m[12] = MARK_PAGE;
	n = record(r, 0, "te\xC3\xA9", m, FRAME_MARK, 1);
	is_int(parse(r, n), RAG_OK, "a page mark");
	frame_put(m, 3, 8);
	n = record(r, 0, "te\xC3\xA9", m, FRAME_MARK, 1);
	is_int(parse(r, n), RAG_EFORMAT, "within a character");
	frame_put(m, 5, 8);
	n = record(r, 0, "te\xC3\xA9", m, FRAME_MARK, 1);
	is_int(parse(r, n), RAG_EFORMAT, "behind the text");
	frame_put(m, 1, 8);
	m[12] = 9;
	n = record(r, 0, "text", m, FRAME_MARK, 1);
	is_int(parse(r, n), RAG_EFORMAT, "a mark of no kind");
	m[12] = MARK_HEADING;
	frame_put(m + 8, 7, 4);
	n = record(r, 0, "text", m, FRAME_MARK, 1);
	is_int(parse(r, n), RAG_EFORMAT, "a heading of level 7");
	frame_put(m + 8, 1, 4);
	frame_put(m + 14, 3, 2);
	memcpy(m + FRAME_MARK, "abc", 3);
	n = record(r, 0, "text", m, FRAME_MARK + 3, 1);
	is_int(parse(r, n), RAG_OK, "a heading");
	n = record(r, 0, "text", m, FRAME_MARK + 2, 1);
	is_int(parse(r, n), RAG_EFORMAT, "whose label is cut");
	n = record(r, 0, "text", m, FRAME_MARK + 3, 2);
	is_int(parse(r, n), RAG_EFORMAT, "one mark for two");
	memcpy(m + FRAME_MARK + 3, m, FRAME_MARK + 3);
	frame_put(m + FRAME_MARK + 3, 0, 8);
	n = record(r, 0, "text", m, 2 * (FRAME_MARK + 3), 2);
	is_int(parse(r, n), RAG_EFORMAT, "marks out of order");
}

int main(void)
{
	const char *dir = getenv("builddir");

	snprintf(program, sizeof(program), "%s/ragstone-extract", dir ? dir : ".");
	test_records();
	if (access(program, X_OK)) {
		ok(false, "'%s' is not built", program);
		return tap_done();
	}
	test_text();
	test_markdown();
	test_html();
	test_metadata();
	test_pdf();
	test_deaths();
	test_limits();
	return tap_done();
}
