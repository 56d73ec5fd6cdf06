var[,t]=/^#t=([\w-]+)$/.exec(location.hash)??[];if(t){history.replaceState(null,"",location.pathname);let e=document.getElementById("open");e.elements.token.value=t,e.submit()}
