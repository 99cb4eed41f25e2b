// The load generator: asks in batches, checks every answer, keeps a histogram of latencies; prints JSON.
//
//   load --port P --queries FILE [options]            --help shows them all
//
// A line of FILE is `NAME TYPE FLAGS`; FLAGS are letters:
//   a  allowed: NOERROR with the record that the stub upstream has for this name
//   b  blocked: answered as --blocked says
//   n  not checked beyond id and question
//   u  a fresh label goes before the name each time it is asked, so that nothing can be cached
//   e  with EDNS
// Closed loop: --window questions are under way all the time, so the server is always busy. Open loop (--rate):
// questions leave by a Poisson process whatever the answers do, and latency counts from when a question was due.
// A question without answer for a second is lost; an answer later than that is late. A server that answers
// nothing for five seconds is given up: status 3.
#include "dns.h"

#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <sys/resource.h>

enum { SOCKETS = 256, IDS = 1 << 16, FRESH = 11, SUB = 5, BUCKETS = 64 << SUB };
static const int64_t SECOND = 1000000000, LOST_AFTER = SECOND, SILENCE = 5 * SECOND;

typedef struct {
    uint8_t *wire;  // the question: name, type, class; and OPT when it has one
    uint16_t length, question;
    uint8_t type;
    bool fresh, edns, checked, blocked;
} Query;

typedef struct {
    int64_t due;      // ns; 0: not under way
    uint64_t serial;  // of the fresh label
    uint32_t query;
} Pending;

typedef struct {
    int fd, under_way;
    uint16_t next, oldest;
    Pending *pending;
} Client;

typedef enum { NXDOMAIN, NODATA, NULL_ADDRESS, REFUSED } Blocked;

static struct {
    const char *host, *from, *queries;
    int port, clients, window;
    double seconds, rate;
    bool once, reflected;
    Blocked blocked;
    uint64_t seed;
} options = {.host = "127.0.0.1", .from = "127.0.1.1", .clients = 8, .window = 256, .seconds = 5, .seed = 1};

static Query *queries;
static uint32_t query_count;
static Client clients[SOCKETS];
static uint64_t sent, answered, lost, late, wrong, rcodes[16], histogram[BUCKETS];
static double latency_sum;
static int64_t latency_max;
static char wrong_name[300];

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static uint64_t random_bits(void) {  // splitmix64: seeded, so that two runs ask the same
    uint64_t z = options.seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// ---- questions -------------------------------------------------------------------------------------------

static int wire_name(const char *text, uint8_t *out) {
    uint8_t *at = out;
    while (*text) {
        const char *end = strchrnul(text, '.');
        int length = (int)(end - text);
        if (length < 1 || length > 63) return 0;
        *at++ = (uint8_t)length;
        memcpy(at, text, (size_t)length);
        at += length, text = *end ? end + 1 : end;
    }
    *at++ = 0;
    return (int)(at - out);
}

static int type_number(const char *text) {
    static const struct { const char *name; int number; } known[] = {
        {"A", TYPE_A}, {"AAAA", TYPE_AAAA}, {"HTTPS", TYPE_HTTPS}, {"TXT", 16}, {"MX", 15}, {"NS", 2}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, known[i].name)) return known[i].number;
    return 0;
}

static bool read_query(const char *name, const char *type, const char *flags, Query *query) {
    uint8_t wire[300];
    int length = wire_name(name, wire), number = type_number(type);
    if (!length || length > 255 - FRESH || !number) return false;
    wire[length] = 0, wire[length + 1] = (uint8_t)number, wire[length + 2] = 0, wire[length + 3] = 1;
    length += 4;
    query->question = (uint16_t)length, query->type = (uint8_t)number;
    query->fresh = strchr(flags, 'u'), query->edns = strchr(flags, 'e');
    query->blocked = strchr(flags, 'b'), query->checked = query->blocked || strchr(flags, 'a');
    if (query->edns) {
        static const uint8_t opt[] = {0, 0, TYPE_OPT, 4, 0xd0, 0, 0, 0, 0, 0, 0};
        memcpy(wire + length, opt, sizeof opt);
        length += sizeof opt;
    }
    query->length = (uint16_t)length;
    if (!(query->wire = malloc((size_t)length))) die("malloc");
    memcpy(query->wire, wire, (size_t)length);
    return true;
}

static void read_queries(void) {
    FILE *file = fopen(options.queries, "r");
    if (!file) die(options.queries);
    char line[1024], name[512], type[32], flags[32];
    uint32_t room = 0, number = 0;
    while (fgets(line, sizeof line, file)) {
        number++;
        if (query_count == room) {
            room = room ? room * 2 : 4096;
            if (!(queries = realloc(queries, room * sizeof *queries))) die("realloc");
        }
        if (sscanf(line, "%511s %31s %31s", name, type, flags) != 3 ||
            !read_query(name, type, flags, &queries[query_count])) {
            fprintf(stderr, "%s:%u: not NAME TYPE FLAGS\n", options.queries, number);
            exit(1);
        }
        query_count++;
    }
    fclose(file);
    if (!query_count) {
        fprintf(stderr, "%s: no queries\n", options.queries);
        exit(1);
    }
}

static void fresh_label(uint64_t serial, uint8_t out[FRESH]) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    out[0] = FRESH - 1;
    for (int i = FRESH - 1; i > 0; i--, serial /= 36) out[i] = (uint8_t)digits[serial % 36];
}

// ---- answers ---------------------------------------------------------------------------------------------

// The first answer's data when its owner is a pointer to the question or that name again; else NULL.
static const uint8_t *first_data(const uint8_t *packet, int length, int at, int type, int size) {
    at = at < length && packet[at] >= 0xc0 ? at + 2 : name_end(packet, at, length);
    if (!at || at + 10 + size > length || packet[at + 1] != type || packet[at + 9] != size) return NULL;
    return packet + at + 10;
}

static bool blocked_rightly(const uint8_t *packet, int length, int at, const Query *query) {
    int rcode = packet[3] & 15, answers = packet[6] << 8 | packet[7];
    switch (options.blocked) {
        case NXDOMAIN: return rcode == 3;
        case REFUSED: return rcode == 5;
        case NODATA: return rcode == 0 && !answers;
        case NULL_ADDRESS: break;
    }
    if (rcode || !answers) return rcode == 0;  // NODATA for a type or family without a null address
    static const uint8_t zero[16];
    int size = query->type == TYPE_A ? 4 : 16;
    const uint8_t *data = first_data(packet, length, at, query->type, size);
    return data && !memcmp(data, zero, (size_t)size);
}

static bool allowed_rightly(const uint8_t *packet, int length, int at, const Query *query) {
    if (packet[3] & 15) return false;
    uint32_t hash = name_hash(packet + HEADER, at - 4 - HEADER);
    uint8_t expected[16];
    int size = query->type == TYPE_A ? 4 : 16;
    if (query->type == TYPE_A) address_v4(hash, expected);
    else if (query->type == TYPE_AAAA) address_v6(hash, expected);
    else return packet[7] != 0 || query->type != TYPE_HTTPS;
    const uint8_t *data = first_data(packet, length, at, query->type, size);
    return data && !memcmp(data, expected, (size_t)size);
}

// Is it an answer to this question: same name, type and class, and what the flags ask for?
static bool right(const uint8_t *packet, int length, const Query *query, const Pending *pending) {
    int at = HEADER;
    if (!(packet[2] & 0x80)) return false;
    if (query->fresh) {
        uint8_t label[FRESH];
        fresh_label(pending->serial, label);
        if (length < at + FRESH || memcmp(packet + at, label, FRESH)) return false;
        at += FRESH;
    }
    if (length < at + query->question || memcmp(packet + at, query->wire, query->question)) return false;
    at += query->question;
    if (!query->checked || options.reflected) return true;
    return query->blocked ? blocked_rightly(packet, length, at, query) : allowed_rightly(packet, length, at, query);
}

static void count_latency(int64_t latency) {
    if (latency < 1) latency = 1;
    latency_sum += (double)latency;
    if (latency > latency_max) latency_max = latency;
    // A bucket for each power of two, parted in 32: 3 % resolution from nanoseconds to hours.
    int power = 63 - __builtin_clzll((uint64_t)latency);
    int part = (int)((power > SUB ? latency >> (power - SUB) : latency << (SUB - power)) & ((1 << SUB) - 1));
    histogram[power << SUB | part]++;
}

static void receive_one(Client *client, const uint8_t *packet, int length, int64_t at) {
    if (length < HEADER) {
        wrong++;
        return;
    }
    Pending *pending = &client->pending[packet[0] << 8 | packet[1]];
    if (!pending->due) {
        late++;
        return;
    }
    const Query *query = &queries[pending->query];
    if (!right(packet, length, query, pending)) {
        if (!wrong++) snprintf(wrong_name, sizeof wrong_name, "query %u, rcode %d", pending->query + 1, packet[3] & 15);
    }
    count_latency(at - pending->due);
    pending->due = 0;
    client->under_way--;
    answered++;
    rcodes[packet[3] & 15]++;
}

static bool receive(Client *client) {
    static struct mmsghdr message[BATCH];
    static struct iovec part[BATCH];
    static uint8_t buffer[BATCH][2048];
    bool any = false;
    while (client->under_way) {
        for (int i = 0; i < BATCH; i++) {
            part[i] = (struct iovec){buffer[i], sizeof buffer[i]};
            message[i].msg_hdr = (struct msghdr){.msg_iov = part + i, .msg_iovlen = 1};
        }
        int count = recvmmsg(client->fd, message, BATCH, MSG_DONTWAIT, NULL);
        if (count <= 0) break;
        int64_t at = now();
        for (int i = 0; i < count; i++) receive_one(client, buffer[i], (int)message[i].msg_len, at);
        any = true;
        if (count < BATCH) break;
    }
    return any;
}

static void give_up(Client *client, int64_t at) {
    while (client->oldest != client->next) {
        Pending *pending = &client->pending[client->oldest];
        if (pending->due) {
            if (at - pending->due < LOST_AFTER) break;
            pending->due = 0;
            client->under_way--;
            lost++;
        }
        client->oldest++;
    }
}

// ---- sending ---------------------------------------------------------------------------------------------

static uint64_t asked, serial;

// Send `count` questions from one client; `due` holds when each was due, or is NULL for now.
static int ask(Client *client, int count, const int64_t *due) {
    static struct mmsghdr message[BATCH];
    static struct iovec part[BATCH][2];
    static uint8_t head[BATCH][HEADER + FRESH];
    int64_t at = now();
    if (count > BATCH) count = BATCH;
    int free_ids = IDS - 1 - (uint16_t)(client->next - client->oldest);
    if (count > free_ids) count = free_ids;
    for (int i = 0; i < count; i++) {
        uint16_t id = (uint16_t)(client->next + i);
        uint32_t number = (uint32_t)((asked + (uint64_t)i) % query_count);
        const Query *query = &queries[number];
        uint8_t *out = head[i];
        const uint8_t fixed[HEADER] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, query->edns};
        memcpy(out, fixed, HEADER);
        if (query->fresh) fresh_label(serial, out + HEADER);
        client->pending[id] = (Pending){due ? due[i] : at, serial++, number};
        part[i][0] = (struct iovec){out, query->fresh ? HEADER + FRESH : HEADER};
        part[i][1] = (struct iovec){query->wire, query->length};
        message[i].msg_hdr = (struct msghdr){.msg_iov = part[i], .msg_iovlen = 2};
    }
    int done = count > 0 ? sendmmsg(client->fd, message, (unsigned)count, 0) : 0;
    if (done < 0) done = 0;
    for (int i = done; i < count; i++) client->pending[(uint16_t)(client->next + i)].due = 0;
    client->next = (uint16_t)(client->next + done);
    client->under_way += done;
    asked += (uint64_t)done, sent += (uint64_t)done;
    return done;
}

static bool closed_loop(void) {
    bool any = false;
    int each = options.window / options.clients;
    for (int c = 0; c < options.clients; c++) {
        int room = (each ? each : 1) - clients[c].under_way;
        if (options.once && (uint64_t)room > query_count - asked) room = (int)(query_count - asked);
        // A quarter of the window at a time: packets travel in batches, as they do from many clients at once.
        if (room > 0 && (room * 4 >= each || options.once)) any |= ask(&clients[c], room, NULL) > 0;
    }
    return any;
}

static bool open_loop(int64_t at) {
    static int64_t next;
    static int client;
    int64_t due[BATCH];
    int count = 0;
    if (!next) next = at;
    for (; next <= at && count < BATCH; count++) {
        due[count] = next;
        double uniform = ((double)(random_bits() >> 11) + 1) / 9007199254740993.0;
        next += (int64_t)(-log(uniform) / options.rate * (double)SECOND);
    }
    for (int i = 0; i < count; i++) {
        if (!ask(&clients[client], 1, due + i)) lost++, sent++;
        client = (client + 1) % options.clients;
    }
    return count > 0;
}

static void wait_for_answers(void) {
    struct pollfd waiting[SOCKETS];
    for (int c = 0; c < options.clients; c++) waiting[c] = (struct pollfd){clients[c].fd, POLLIN, 0};
    poll(waiting, (nfds_t)options.clients, 5);
}

static void run(void) {
    int64_t begun = now(), end = begun + (int64_t)(options.seconds * (double)SECOND), looked = begun, heard = begun, at;
    bool asking = true;
    for (uint64_t turn = 0;; turn++) {
        at = now();
        bool any = false;
        int under_way = 0;
        for (int c = 0; c < options.clients; c++) {
            any |= receive(&clients[c]);
            under_way += clients[c].under_way;
        }
        if (any) heard = at;
        if (at - heard > SILENCE && at - begun > SILENCE) {
            fprintf(stderr, "no answer for %d s; %lu answered, %lu lost\n", (int)(SILENCE / SECOND), answered, lost);
            exit(3);
        }
        if (options.once) asking = asked < query_count;
        else if (at >= end) asking = false;
        // The open loop waits for what is under way, so that slow answers count; the closed one has seen enough.
        if (!asking && (!under_way || !(options.once || options.rate > 0))) return;
        if (asking) any |= options.rate > 0 ? open_loop(at) : closed_loop();
        if (at - looked > SECOND / 10) {
            for (int c = 0; c < options.clients; c++) give_up(&clients[c], at);
            looked = at;
        }
        if (!any && !(options.rate > 0 && asking)) wait_for_answers();
    }
}

// ---- report ----------------------------------------------------------------------------------------------

static double percentile(double share) {
    uint64_t rank = (uint64_t)ceil(share * (double)answered), seen = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram[bucket];
        if (!seen || seen < rank) continue;
        int power = bucket >> SUB, part = bucket & ((1 << SUB) - 1);
        return ldexp(1 + (part + 0.5) / (1 << SUB), power) / 1e3;
    }
    return 0;
}

static void report(double seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    printf("{\"seconds\":%.4f,\"qps\":%.1f,\"sent\":%lu,\"answered\":%lu,\"lost\":%lu,\"late\":%lu,\"wrong\":%lu,",
           seconds, (double)answered / seconds, sent, answered, lost, late, wrong);
    printf("\"first_wrong\":\"%s\",\"generator_cpu\":%.4f,\"mean_us\":%.2f,\"p50_us\":%.2f,\"p90_us\":%.2f,", wrong_name,
           cpu, answered ? latency_sum / (double)answered / 1e3 : 0.0, percentile(.5), percentile(.9));
    printf("\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,\"rcodes\":{", percentile(.99), percentile(.999),
           (double)latency_max / 1e3);
    const char *comma = "";
    for (int i = 0; i < 16; i++) {
        if (!rcodes[i]) continue;
        printf("%s\"%d\":%lu", comma, i, rcodes[i]);
        comma = ",";
    }
    printf("}}\n");
}

static void usage(int status) {
    fprintf(status ? stderr : stdout,
            "usage: load --port P --queries FILE [--host 127.0.0.1] [--from 127.0.1.1] [--clients 8]\n"
            "            [--window 256 | --rate QPS] [--seconds 5 | --once] [--seed 1]\n"
            "            [--blocked nxdomain|nodata|null|refused] [--reflected]\n"
            "--from      address of the first client, the others follow it    --once  each query once, then end\n"
            "--reflected the server only sends questions back: answers are not looked into\n");
    exit(status);
}

static Blocked blocked_kind(const char *text) {
    static const char *const kinds[] = {"nxdomain", "nodata", "null", "refused"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, kinds[i])) return (Blocked)i;
    usage(2);
    return NXDOMAIN;
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"host", 1, 0, 'h'},  {"port", 1, 0, 'p'},    {"queries", 1, 0, 'q'}, {"from", 1, 0, 'f'},
        {"clients", 1, 0, 'c'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'r'},    {"seconds", 1, 0, 's'},
        {"once", 0, 0, 'o'},  {"seed", 1, 0, 'e'},    {"blocked", 1, 0, 'b'}, {"reflected", 0, 0, 'x'},
        {"help", 0, 0, '?'},  {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
            case 'h': options.host = optarg; break;
            case 'p': options.port = atoi(optarg); break;
            case 'q': options.queries = optarg; break;
            case 'f': options.from = optarg; break;
            case 'c': options.clients = atoi(optarg); break;
            case 'w': options.window = atoi(optarg); break;
            case 'r': options.rate = atof(optarg); break;
            case 's': options.seconds = atof(optarg); break;
            case 'o': options.once = true; break;
            case 'e': options.seed = strtoull(optarg, NULL, 10); break;
            case 'b': options.blocked = blocked_kind(optarg); break;
            case 'x': options.reflected = true; break;
            default: usage(optopt || argc < 2 ? 2 : 0);
        }
    }
    if (!options.port || !options.queries || options.clients < 1 || options.clients > SOCKETS) usage(2);
}

static void open_clients(void) {
    struct sockaddr_in server = address_of(options.host, options.port), first = address_of(options.from, 0);
    for (int c = 0; c < options.clients; c++) {
        struct in_addr local = {htonl(ntohl(first.sin_addr.s_addr) + (uint32_t)c)};
        clients[c].fd = udp_socket(inet_ntoa(local), 0);
        if (connect(clients[c].fd, (struct sockaddr *)&server, sizeof server)) die("connect");
        if (!(clients[c].pending = calloc(IDS, sizeof(Pending)))) die("calloc");
        clients[c].next = clients[c].oldest = (uint16_t)random_bits();
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    read_queries();
    serial = random_bits() >> 14;  // 36^10 serials fit the fresh label
    asked = options.once ? 0 : random_bits() % query_count;
    open_clients();
    int64_t begun = now();
    run();
    report((double)(now() - begun) * 1e-9);
}
