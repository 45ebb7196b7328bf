use super::*;

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

const SERVER: &str = "server: 'https://member.example.com:6443/clusters/eu-1'";
const TOKEN: &str = "token: abc";

/// Why a kubeconfig is refused; empty if it is not.
async fn refusal(cluster: &str, user: &str) -> String {
    client(&kubeconfig(cluster, user), "taffrail/test").await.err().unwrap_or_default()
}

#[tokio::test]
async fn what_stands_for_itself_is_accepted() {
    assert_eq!(refusal(SERVER, TOKEN).await, "");
    assert_eq!(refusal("server: 'http://127.0.0.1:8080'", "").await, "");
}

#[tokio::test]
async fn files_programs_and_proxies_of_the_hub_are_not_used() {
    for (cluster, user, field) in [
        ("certificate-authority: /etc/ca.crt", TOKEN, "certificate-authority"),
        ("proxy-url: 'http://proxy:3128'", TOKEN, "proxy-url"),
        ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}", "exec"),
        ("", "auth-provider: {name: gcp, config: {}}", "auth-provider"),
        ("", "tokenFile: /var/run/token", "tokenFile"),
        ("", "client-certificate: /etc/c.crt", "client-certificate"),
        ("", "client-key: /etc/c.key", "client-key"),
    ] {
        let cluster =
            if cluster.is_empty() { SERVER.to_owned() } else { format!("{SERVER}, {cluster}") };
        let message = refusal(&cluster, user).await;
        assert!(message.contains(&format!("uses {field},")), "{field}: {message}");
    }
}

#[tokio::test]
async fn what_is_no_kubeconfig_is_refused_without_quoting_it() {
    for text in ["token: hunter2: x", "", "[]", "clusters: []"] {
        let message = client(text, "taffrail/test").await.err().unwrap_or_default();
        assert!(message.contains("the kubeconfig"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
