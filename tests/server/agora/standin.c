/* Stands in for Agora's native library below the real Python SDK.
 *
 * What the SDK hands over is written down; what the network would do is read from a script. In the folder that
 * STANDIN_FOLDER names, the n-th process to join CHANNEL
 *   - writes CHANNEL.n.calls (one call a line) and CHANNEL.n.media (records: see `struct record`), and
 *   - follows CHANNEL.n.script, else CHANNEL.script, else "0 connected": lines "MS WHAT [NUMBER]", MS after connect;
 *     a line "answer CALL NUMBER" makes a call return NUMBER.
 * All other functions that the SDK looks up are generated beside this file and return 0.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef void *handle;

/* The structs of agora/rtc/_ctypes_handle/_ctypes_data.py that are looked into. */
struct service_config {
  int enable_audio_processor, enable_audio_device, enable_video;
  void *context;
  const char *app_id;
  unsigned area_code;
  int channel_profile, audio_scenario, use_string_uid, domain_limit, log_level;
  const char *log_path;
  uint32_t log_kb;
  const char *data_dir, *config_dir;
};
struct connection_info { uint64_t id; const char *channel; int state; const char *user; unsigned uid; };
struct connection_config {
  int auto_subscribe_audio, auto_subscribe_video, enable_recording_or_playout, max_send_bitrate, min_port, max_port;
  int packet_only, pcm_data_only;
  uint32_t bytes_per_sample, channels, sample_rate;
  int role, profile, recv_packet, recv_encoded, recv_video;
};
struct picture {
  int type, format;
  void *buffer;
  int stride, height, crop_left, crop_top, crop_right, crop_bottom, rotation;
  long long timestamp;
  void *egl_context;
  int egl_type, texture_id;
  float matrix[16];
  void *metadata;
  int metadata_size;
  void *alpha;
  uint8_t fill_alpha;
  int alpha_mode, color_space[4];
};
struct encoded_info {
  int codec, width, height, fps, frame_type, rotation, track;
  int64_t capture_ms, decode_ms;
  unsigned uid;
  int stream_type;
  int64_t presentation_ms;
};
struct encoder_config { int codec, width, height, fps, bitrate, min_bitrate, orientation, degradation, mirror, alpha; };
struct sender_options { int cc_mode, codec, target_bitrate; };
struct transport_stats {
  unsigned connection, duration, tx_bytes, rx_bytes, tx_audio_bytes, tx_video_bytes, rx_audio_bytes, rx_video_bytes;
  unsigned short tx_kbit, rx_kbit, rx_audio_kbit, tx_audio_kbit, rx_video_kbit, tx_video_kbit, last_mile;
  unsigned users;
  double cpu_app, cpu_total;
  int rtt;
  double memory_app, memory_total;
  int memory_kb, connect_ms, first[9], tx_loss, rx_loss;
};
struct video_stats {
  uint64_t streams, bytes_major, bytes_minor;
  uint32_t frames, ssrc_major, ssrc_minor;
  int capture_fps, regulated_fps, input_fps, encode_fps, render_fps, target_bps, media_bps, total_bps;
  int capture_width, capture_height, regulated_width, regulated_height, width, height;
  uint32_t encoder_type, uplink_ms;
  int adapt;
};

/* Places of callbacks in the observers' structs (_rtc_connection_observer.py, _local_user_observer.py). */
enum { CONNECTED, DISCONNECTED, CONNECTING, RECONNECTING, RECONNECTED, LOST, WILL_EXPIRE = 8, DID_EXPIRE, FAILURE = 11,
       TRANSPORT = 14, QUALITY = 17, N_CONNECTION = 31 };
enum { VIDEO_STATISTICS = 18, INTRA = 32, N_USER = 37 };

/* A record of CHANNEL.n.media, followed by n_bytes. Kinds: 'S' sound (a: samples, b: rate), 'P' picture (a: width,
 * b: height), 'E' encoded picture (a: frame type, b: codec). */
struct record { int64_t kind, arrived_ns, pts_ms, a, b, n_bytes; };

static void *connection_observer[N_CONNECTION], *user_observer[N_USER], *capabilities_observer;
static char channel[256], user[256], early[4096], script[65536];
static FILE *calls, *media;
static int connected, slow_ms, hang;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t n_frames, n_bytes_sent;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_ms(int ms) { usleep(1000 * (useconds_t)ms); }

static void call(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  pthread_mutex_lock(&lock);
  if (calls)
    fprintf(calls, "%s\n", line), fflush(calls);
  else if (strlen(early) + strlen(line) + 2 < sizeof early)
    strcat(strcat(early, line), "\n");
  pthread_mutex_unlock(&lock);
}

static int answer(const char *name) {
  char wanted[128], *at;
  snprintf(wanted, sizeof wanted, "answer %s ", name); /* the script is there once connect was called */
  return (at = strstr(script, wanted)) ? atoi(at + strlen(wanted)) : 0;
}

static void put(char kind, int64_t pts_ms, int64_t a, int64_t b, const void *bytes, int64_t n) {
  struct record record = {kind, now_ns(), pts_ms, a, b, n};
  if (!connected) call("pushed '%c' before connected", kind);
  n_bytes_sent += n;
  if (media) {
    if (kind == 'P' && getenv("STANDIN_LIGHT")) record.n_bytes = 0; /* to measure others, not this */
    fwrite(&record, sizeof record, 1, media);
    fwrite(bytes, 1, record.n_bytes, media);
    fflush(media);
  }
  if (slow_ms) sleep_ms(slow_ms);
  while (hang) sleep_ms(1000);
}

static struct connection_info info(void) {
  struct connection_info info = {1, channel, 3, user, 1001};
  return info;
}

static void tell(int which, int reason) {
  struct connection_info now = info();
  if (connection_observer[which])
    ((void (*)(handle, struct connection_info *, int))connection_observer[which])((handle)1, &now, reason);
}

static void tell_stats(void) {
  struct transport_stats transport = {.duration = 2, .tx_bytes = (unsigned)n_bytes_sent, .tx_kbit = 900,
    .tx_audio_kbit = 60, .tx_video_kbit = 840, .last_mile = 12, .users = 2, .rtt = 34, .tx_loss = 3};
  struct video_stats video = {.encode_fps = 25, .target_bps = 800000, .media_bps = 780000, .width = 320, .height = 240};
  if (connection_observer[TRANSPORT])
    ((void (*)(handle, void *))connection_observer[TRANSPORT])((handle)1, &transport);
  if (user_observer[VIDEO_STATISTICS])
    ((void (*)(handle, handle, void *))user_observer[VIDEO_STATISTICS])((handle)2, (handle)7, &video);
  if (connection_observer[QUALITY])
    ((void (*)(handle, const char *, int, int))connection_observer[QUALITY])((handle)1, "0", 2, 1);
}

static void print_garbage(int n_lines) {
  for (int i = 0; i < n_lines; i++) {
    unsigned char line[3000];
    for (size_t j = 0; j < sizeof line; j++) line[j] = (unsigned char)(rand() % 255 + 1);
    fwrite(line, 1, sizeof line, i % 2 ? stdout : stderr);
    fprintf(i % 2 ? stdout : stderr, "\nline %d of channel %s\n", i, channel);
  }
  fflush(stdout);
}

static void happen(const char *what, int number) {
  struct video_stats video = {.encode_fps = 25, .target_bps = 1000 * number, .media_bps = 1000 * number};
  if (!strcmp(what, "connected")) connected = 1, tell(CONNECTED, 1);
  else if (!strcmp(what, "reconnecting")) tell(RECONNECTING, number);
  else if (!strcmp(what, "reconnected")) tell(RECONNECTED, number);
  else if (!strcmp(what, "disconnected")) tell(DISCONNECTED, number);
  else if (!strcmp(what, "failure")) tell(FAILURE, number);
  else if (!strcmp(what, "lost")) tell(LOST, 0);
  else if (!strcmp(what, "will_expire")) ((void (*)(handle, const char *))connection_observer[WILL_EXPIRE])((handle)1, "old");
  else if (!strcmp(what, "did_expire")) ((void (*)(handle))connection_observer[DID_EXPIRE])((handle)1);
  else if (!strcmp(what, "intra")) ((void (*)(handle))user_observer[INTRA])((handle)2);
  else if (!strcmp(what, "stats")) tell_stats();
  else if (!strcmp(what, "target")) ((void (*)(handle, handle, void *))user_observer[VIDEO_STATISTICS])((handle)2, (handle)7, &video);
  else if (!strcmp(what, "garbage")) print_garbage(number);
  else if (!strcmp(what, "no_aiqos")) ((void (*)(handle, void *, int))capabilities_observer)((handle)11, NULL, 0);
  else if (!strcmp(what, "slow")) slow_ms = number;
  else if (!strcmp(what, "hang")) hang = 1;
  else if (!strcmp(what, "segfault")) *(volatile int *)0 = 0;
  else call("unknown line of the script: %s", what);
}

static void *follow(void *unused) {
  int64_t began = now_ns();
  char *rest = NULL;
  for (char *line = strtok_r(script, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    int ms, number = 0;
    char what[64];
    if (sscanf(line, "%d %63s %d", &ms, what, &number) < 2) continue;
    int64_t left = began + ms * 1000000LL - now_ns();
    if (left > 0) usleep(left / 1000);
    happen(what, number);
  }
  return unused;
}

static FILE *open_in(const char *suffix, const char *mode) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.%s", getenv("STANDIN_FOLDER"), channel, suffix);
  return fopen(path, mode);
}

/* Takes the first number n that no other process of this channel has, and opens its files. */
static void open_files(void) {
  char name[64];
  for (int n = 1; n < 1000 && !calls; n++) {
    snprintf(name, sizeof name, "%d.calls", n);
    if (!(calls = open_in(name, "wx"))) continue;
    snprintf(name, sizeof name, "%d.media", n);
    media = open_in(name, "w");
    snprintf(name, sizeof name, "%d.script", n);
    FILE *file = open_in(name, "r");
    if (!file) file = open_in("script", "r");
    if (file) {
      script[fread(script, 1, sizeof script - 1, file)] = 0;
      fclose(file);
    } else
      strcpy(script, "0 connected\n");
    fputs(early, calls);
    fflush(calls);
  }
}

handle agora_service_create(void) { return (handle)3; }

int agora_service_initialize(handle service, struct service_config *config) {
  call("initialize app_id=%s string_uid=%d area=%#x video=%d device=%d", config->app_id, config->use_string_uid,
       config->area_code, config->enable_video, config->enable_audio_device);
  FILE *log = fopen(config->log_path, "a"); /* the folder must be there */
  if (!log) return -2;
  fclose(log);
  return 0;
}

int agora_service_release(handle service) { call("release service"); return 0; }
handle agora_service_create_media_node_factory(handle service) { return (handle)4; }
handle agora_service_get_agora_parameter(handle service) { return (handle)5; }
handle agora_rtc_conn_get_agora_parameter(handle connection) { return (handle)5; }
handle agora_media_node_factory_create_audio_pcm_data_sender(handle factory) { return (handle)8; }
handle agora_media_node_factory_create_video_frame_sender(handle factory) { return (handle)9; }
handle agora_media_node_factory_create_video_encoded_image_sender(handle factory) { return (handle)10; }
handle agora_service_create_direct_custom_audio_track_pcm(handle service, handle sender) { return (handle)6; }
handle agora_service_create_custom_audio_track_pcm(handle service, handle sender) { return (handle)6; }
handle agora_service_create_custom_video_track_frame(handle service, handle sender) { return (handle)7; }
handle agora_service_create_custom_video_track_encoded(handle service, handle sender, struct sender_options *options) {
  call("encoded codec=%d target=%d", options->codec, options->target_bitrate);
  return (handle)7;
}
handle agora_local_user_capabilities_observer_create(void **observer) {
  capabilities_observer = *observer;
  return (handle)11;
}

handle agora_rtc_conn_create(handle service, struct connection_config *config) {
  call("connection subscribe=%d%d playout=%d role=%d profile=%d", config->auto_subscribe_audio,
       config->auto_subscribe_video, config->enable_recording_or_playout, config->role, config->profile);
  return (handle)1;
}
handle agora_rtc_conn_get_local_user(handle connection) { return (handle)2; }
int agora_rtc_conn_register_observer(handle connection, void *observer) {
  memcpy(connection_observer, observer, sizeof connection_observer);
  return 0;
}
int agora_rtc_conn_unregister_observer(handle connection) {
  memset(connection_observer, 0, sizeof connection_observer);
  return 0;
}
int agora_local_user_register_observer(handle local, void *observer) {
  memcpy(user_observer, observer, sizeof user_observer);
  return 0;
}
int agora_local_user_unregister_observer(handle local) {
  memset(user_observer, 0, sizeof user_observer);
  return 0;
}

int agora_rtc_conn_connect(handle connection, const char *token, const char *name, const char *id) {
  pthread_t thread;
  snprintf(channel, sizeof channel, "%s", name);
  snprintf(user, sizeof user, "%s", id);
  open_files();
  call("connect token=%s channel=%s uid=%s", token, name, id);
  if (answer("connect")) return answer("connect");
  return pthread_create(&thread, NULL, follow, NULL);
}
int agora_rtc_conn_disconnect(handle connection) { call("disconnect"); return 0; }
void agora_rtc_conn_destroy(handle connection) { call("destroy"); }
int agora_rtc_conn_renew_token(handle connection, const char *token) {
  call("renew_token %s", token);
  return answer("renew_token");
}
int agora_local_user_publish_audio(handle local, handle track) { call("publish_audio"); return answer("publish_audio"); }
int agora_local_user_publish_video(handle local, handle track) { call("publish_video"); return answer("publish_video"); }
int agora_local_user_unpublish_audio(handle local, handle track) { call("unpublish_audio"); return 0; }
int agora_local_user_unpublish_video(handle local, handle track) { call("unpublish_video"); return 0; }
int agora_local_user_set_audio_scenario(handle local, int scenario) { call("scenario %d", scenario); return 0; }

int agora_local_video_track_set_video_encoder_config(handle track, struct encoder_config *config) {
  char name[32]; /* the script is only known at connect, which is later */
  snprintf(name, sizeof name, "codec-%d", config->codec);
  call("encoder codec=%d size=%dx%d fps=%d bitrate=%d", config->codec, config->width, config->height, config->fps,
       config->bitrate);
  return getenv("STANDIN_REFUSES") && !strcmp(getenv("STANDIN_REFUSES"), name) ? -4 : 0;
}

int agora_audio_pcm_data_sender_send(handle sender, void *pcm, uint32_t timestamp, int64_t pts_ms, uint32_t samples,
                                     uint32_t bytes_per_sample, uint32_t channels, uint32_t rate) {
  if (bytes_per_sample != 2 || channels != 1 || samples * 100 != rate) return -3; /* not 10 ms */
  put('S', pts_ms, samples, rate, pcm, 2 * samples);
  return 0;
}

int agora_video_frame_sender_send(handle sender, struct picture *picture) {
  if (picture->type != 1 || picture->format != 1 || !picture->buffer || picture->crop_left || picture->rotation) return -3;
  put('P', picture->timestamp, picture->stride, picture->height, picture->buffer,
      (int64_t)picture->stride * picture->height * 3 / 2);
  n_frames++;
  return 0;
}

int agora_video_encoded_image_sender_send(handle sender, const uint8_t *data, uint32_t n, struct encoded_info *info) {
  put('E', info->presentation_ms, info->frame_type, info->codec, data, n);
  return 1;
}
